# An image of PFS: two static programs and nothing else. It runs as nobody, with
# a root that is not written to; the data is in /var/lib/pfs. Native plugins need a
# C library and pfs-plugin-host, which are not in it.
#
#   docker build -t pfs .
#   docker run -d --read-only -p 127.0.0.1:8080:8080 -v pfs:/var/lib/pfs pfs
FROM golang:1.26-bookworm AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
RUN make build
# Volumes take the owner of the directory that they are first mounted over.
RUN install -d -m 0700 -o 65532 -g 65532 /empty/data /empty/certs

FROM scratch
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build --chown=65532:65532 /empty/data /var/lib/pfs
COPY --from=build --chown=65532:65532 /empty/certs /etc/pfs/certs
COPY --from=build /src/build/pfs-server /src/build/pfs /usr/bin/
# No authentication yet: publish the port of the API where only friends reach it.
ENV PFS_ADDR=:8080 PFS_DATA_DIR=/var/lib/pfs
EXPOSE 8080 7946
VOLUME /var/lib/pfs
USER 65532:65532
STOPSIGNAL SIGTERM
# That it lives, not that there is a quorum: what is unhealthy may be restarted.
HEALTHCHECK --interval=10s --timeout=6s --start-period=60s --retries=6 CMD ["/usr/bin/pfs", "probe", "live"]
ENTRYPOINT ["/usr/bin/pfs-server"]
