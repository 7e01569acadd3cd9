#!/usr/bin/env bash
# Installs what is missing of the servers that PFS is compared with: what Debian
# has from there, the others from their Go modules, at versions that are known to
# build, into /usr/local/bin. None of them is started.
set -euo pipefail
missing=()
for pair in etcd:etcd-server redis-server:redis-server nginx:nginx-light dd:coreutils; do
  command -v "${pair%%:*}" >/dev/null || missing+=("${pair##*:}")
done
if [ ${#missing[@]} -gt 0 ]; then
  command -v apt-get >/dev/null || { echo "peers: install ${missing[*]} first: there is no apt-get here" >&2; exit 1; }
  # Packages start their services unless this says no.
  policy=/usr/sbin/policy-rc.d
  if [ ! -e $policy ]; then
    trap 'rm -f $policy' EXIT
    printf '#!/bin/sh\nexit 101\n' >$policy
    chmod 755 $policy
  fi
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}"
  if command -v systemctl >/dev/null && [ -d /run/systemd/system ]; then
    systemctl disable --quiet "${missing[@]%-light}" 2>/dev/null || true # nor are they at the next start
  fi
fi
# Debian's nats-server is 2.9; that a message is synced before it is acknowledged
# can be asked of 2.10 and later.
case "$(nats-server --version 2>/dev/null)" in
*v2.1[0-9].*) ;;
*) GOBIN=/usr/local/bin CGO_ENABLED=0 go install -trimpath -ldflags='-s -w' github.com/nats-io/nats-server/v2@v2.12.1 ;;
esac
# The tests of s3fs have it too.
if ! command -v versitygw >/dev/null; then
  GOBIN=/usr/local/bin CGO_ENABLED=0 go install -trimpath -ldflags='-s -w' github.com/versity/versitygw/cmd/versitygw@v1.8.0
fi
