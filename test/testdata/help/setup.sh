# What the examples of the help texts speak of: files here, and a tree on the server.
mkdir -p src/sub docs dir
echo 'package main // TODO' >src/main.go
echo notes >notes.txt
cp notes.txt me
cp notes.txt docs/a.md
cp notes.txt src/sub/b.txt
head -c 2000 /dev/zero >data.bin
echo token >.pfs-token
for p in $(pfs ls -a /memfs); do
	pfs rm -rf "/memfs/$p"
done
pfs mkdir -p /memfs/src/sub /memfs/docs /memfs/home /memfs/team /memfs/dir
for f in notes.txt log a b todo.txt hi app.log; do
	printf 'one\nerror: panic TODO\nthree\n' | pfs put - /memfs/$f
done
pfs put -q data.bin /memfs/data.bin
pfs put -q src/main.go /memfs/src/main.go
pfs put -q src/main.go /memfs/src/sub/main.go
pfs rm -f /kvfs/keys/lock
pfs rm -rf /queuefs/jobs
pfs queue create -q /queuefs/team/jobs
pfs queue create -q /queuefs/jobs --max-attempts 1
pfs queue put -q /queuefs/jobs 1 2 3 4 5 6
pfs queue take /queuefs/jobs --lease 1h >/dev/null
pfs queue nack -q /queuefs/jobs "$(pfs ls /queuefs/jobs/inflight)"
pfs queue take /queuefs/jobs --lease 1h >/dev/null
for p in /scratch /home; do
	pfs unmount $p 2>/dev/null || true
done
pfs context add prod "$PFS_URL"
pfs context add lab "$PFS_URL"
pfs mkdir -p /memfs/logs
echo 'ls $1' >nightly.sh
printf 'one\ntwo\n' | pfs stream put /streamfs/log
