package supervise

import (
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// niceness is how much lower than that of the server the priority of plugins is:
// when one of each wants a processor, the server has nine tenths of it.
const niceness = 10

// slice is for how long a plugin may have a processor at a time while others wait. The
// kernel lets it have that also if somebody with more of a right to it comes, and other
// plugins come as often as it does.
const slice = time.Millisecond

// lower returns the nice value of plugins.
func lower() int {
	own, err := unix.Getpriority(unix.PRIO_PROCESS, 0)
	if err != nil {
		own = 20 // the system counts them from 20 down to -20
	}
	return min(20-own+niceness, 19)
}

// codeFile returns the program as a file without a name that nobody can change
// any more.
func codeFile(code []byte) (*os.File, error) {
	fd, err := unix.MemfdCreate("pfs-plugin", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING|unix.MFD_EXEC)
	if errors.Is(err, unix.EINVAL) { // before Linux 6.3 all of them may be executed
		fd, err = unix.MemfdCreate("pfs-plugin", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	}
	if err != nil {
		return nil, fmt.Errorf("memory for the program: %w", err)
	}
	w := os.NewFile(uintptr(fd), "pfs-plugin")
	defer w.Close()
	if _, err := w.Write(code); err != nil {
		return nil, fmt.Errorf("memory for the program: %w", err)
	}
	if err := Seal(fd); err != nil {
		return nil, fmt.Errorf("sealing the program: %w", err)
	}
	return os.Open(fmt.Sprintf("/proc/self/fd/%d", fd)) // what may be written is not executed
}

// Seal makes a file in memory one that nobody can change any more. The kernel refuses
// that as long as it has a page of it in its hands itself, which passes.
func Seal(fd int) error {
	const seals = unix.F_SEAL_WRITE | unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_SEAL
	for n := 0; ; n++ {
		_, err := unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, seals)
		if !errors.Is(err, unix.EBUSY) || n == 20 {
			return err
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// launch runs the program in a thread of its own that lasts as long as it does:
// the kernel kills the process when that thread ends, so with the server, whatever
// ends that.
func (p *Child) launch(fresh func() *exec.Cmd, c Command) error {
	started := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with this goroutine
		cmd, err := p.begin(fresh, c)
		if err != nil {
			p.uncage()
		}
		started <- err
		if err != nil {
			return
		}
		for { // it is looked at first: as long as it is not reaped its id is its own
			err := unix.Waitid(unix.P_PID, p.group, nil, unix.WEXITED|unix.WNOWAIT, nil)
			if !errors.Is(err, unix.EINTR) {
				break
			}
		}
		p.mu.Lock()
		_ = unix.Kill(-p.group, unix.SIGKILL) // what it has left behind
		p.reaped = true
		p.mu.Unlock()
		_ = cmd.Wait() // what it would say is in the state
		p.state = cmd.ProcessState
		p.uncage()
		if cmd.SysProcAttr.Credential != nil && slices.Contains(p.lacks, ownIDs) {
			killUser(p.user) // what has left its group; the next to get the user is not to meet it
		}
		close(p.done)
	}()
	return <-started
}

// control is one thing that a process is denied.
type control struct {
	name string
	set  func(*exec.Cmd)
}

// controls are those that a machine may refuse us.
func (p *Child) controls(c Command) []control {
	list := []control{
		{"limits before the first instruction", func(cmd *exec.Cmd) { cmd.SysProcAttr.Ptrace = true }},
		{ownIDs, func(cmd *exec.Cmd) { cmd.SysProcAttr.Cloneflags |= unix.CLONE_NEWPID }},
		{ownUser, func(cmd *exec.Cmd) {
			cmd.SysProcAttr.Credential = &syscall.Credential{Uid: p.user, Gid: p.user}
		}},
	}
	if g := p.caged(c); g != nil {
		list = append(list, control{limitedGroup, func(cmd *exec.Cmd) {
			cmd.SysProcAttr.UseCgroupFD, cmd.SysProcAttr.CgroupFD = true, int(g.dir.Fd())
		}})
	}
	if !c.Network {
		list = append(list, control{"no network", func(cmd *exec.Cmd) { cmd.SysProcAttr.Cloneflags |= unix.CLONE_NEWNET }})
	}
	return slices.DeleteFunc(list, func(w control) bool {
		out := slices.Contains(c.without, w.name)
		if out {
			p.lacks = append(p.lacks, w.name)
		}
		return out
	})
}

// ownIDs is the control by which all that a process has started ends with it.
const ownIDs = "process ids of its own"

// noProcesses is the control by which a program starts only threads.
const noProcesses = "no processes of its own"

// ownUser is the control without which a program of a server that is root is root.
const ownUser = "a user of its own"

// limitedGroup is the control that bounds a process together with all that it starts.
const limitedGroup = "a control group"

// caged makes the control group of the process; nil where that cannot be.
func (p *Child) caged(c Command) *controlGroup {
	below, err := c.groups, error(nil)
	if below == "" {
		below, err = controlGroups()
	}
	var g *controlGroup
	if err == nil {
		g, err = newControlGroup(below, filepath.Base(p.dir), c.Limits.bounded())
	}
	if err != nil {
		p.lacks = append(p.lacks, limitedGroup)
		return nil
	}
	p.cage = g
	return g
}

// uncage removes it.
func (p *Child) uncage() {
	if p.cage != nil {
		_ = p.cage.remove() // the next server sweeps
	}
}

// sweepMachine removes what is not in directories for files.
func sweepMachine() {
	if below, err := controlGroups(); err == nil {
		sweepGroups(below)
	}
}

// begin starts the process with all controls, or with those that the machine
// allows.
func (p *Child) begin(fresh func() *exec.Cmd, c Command) (*exec.Cmd, error) {
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		p.lacks = append(p.lacks, "no new privileges")
	}
	// What the server has been started with is open to its children otherwise. What
	// they are given is not meant: that is copied.
	if err := unix.CloseRange(3, math.MaxUint32, unix.CLOSE_RANGE_CLOEXEC); err != nil {
		p.lacks = append(p.lacks, "files of its own")
	}
	wanted := p.controls(c)
	cmd, err := p.again(fresh, c, wanted)
	if refused(err) {
		var allowed []control
		for _, w := range wanted {
			// A machine that refuses the user says so by other errors: this one is of a
			// directory or a program, and the answer to it is not to run as root.
			err := p.probe("/", c, w)
			if refused(err) && (w.name != ownUser || !errors.Is(err, syscall.EACCES)) {
				p.lacks = append(p.lacks, w.name)
			} else {
				allowed = append(allowed, w)
			}
		}
		cmd, err = p.again(fresh, c, allowed)
		for _, w := range allowed {
			if err != nil && w.name == ownUser && errors.Is(p.probe(p.dir, c, w), syscall.EACCES) {
				err = fmt.Errorf("user %d, which it gets, cannot enter %s: give the server a TMPDIR that all users may enter (mode 0711 or 1777, as all directories above it)", p.user, p.dir)
			}
		}
	}
	if err != nil {
		return nil, fmt.Errorf("the program does not start: %w", err)
	}
	return cmd, nil
}

// probe tries one control in a directory. The controls come before the program, and
// there is none of that name.
func (p *Child) probe(dir string, c Command, w control) error {
	_, err := p.try(&exec.Cmd{Path: "/proc/self/fd/none", Dir: dir}, c, []control{w})
	return err
}

// again tries a few times: a process that another thread has just forked has the
// program open for writing for a moment, and then it is not executed.
func (p *Child) again(fresh func() *exec.Cmd, c Command, with []control) (*exec.Cmd, error) {
	for n := 0; ; n++ {
		cmd, err := p.try(fresh(), c, with)
		if !errors.Is(err, syscall.ETXTBSY) || n == 100 {
			return cmd, err
		}
		time.Sleep(time.Millisecond)
	}
}

// refused reports whether the machine does not let us.
func refused(err error) bool {
	for _, no := range []error{syscall.EPERM, syscall.EINVAL, syscall.ENOSYS, syscall.EACCES, syscall.EBUSY, syscall.EOPNOTSUPP} {
		if errors.Is(err, no) {
			return true
		}
	}
	return false
}

// try starts the process with some controls.
func (p *Child) try(cmd *exec.Cmd, c Command, with []control) (*exec.Cmd, error) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGKILL}
	for _, w := range with {
		w.set(cmd)
	}
	owner := os.Getuid()
	if cred := cmd.SysProcAttr.Credential; cred != nil {
		owner = int(cred.Uid)
	}
	if owner != p.owner { // some machines forbid the call whatever it would change
		if err := os.Chown(p.dir, owner, -1); err != nil {
			return nil, err
		}
		p.owner = owner
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p.group = cmd.Process.Pid
	if err := p.limit(cmd, c); err != nil {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // it was killed
		return nil, err
	}
	return cmd, nil
}

// limit sets the limits of a process that, if it is traced, has not run yet.
func (p *Child) limit(cmd *exec.Cmd, c Command) error {
	pid, l := cmd.Process.Pid, c.Limits.bounded()
	if cmd.SysProcAttr.Ptrace {
		var st syscall.WaitStatus
		if _, err := syscall.Wait4(pid, &st, syscall.WALL, nil); err != nil {
			return err
		}
		if !st.Stopped() {
			return fmt.Errorf("it ended before it began: %v", st)
		}
	}
	limits := map[int]uint64{
		unix.RLIMIT_DATA: uint64(l.Memory), unix.RLIMIT_NOFILE: uint64(l.Files),
		unix.RLIMIT_FSIZE: uint64(l.FileSize), unix.RLIMIT_CORE: 0,
	}
	if cmd.SysProcAttr.Credential != nil {
		limits[unix.RLIMIT_NPROC] = uint64(l.Processes)
	}
	nice := lower()
	// Where the kernel shares processors among sessions, all that it starts counts as
	// one; elsewhere there is no such file.
	_ = os.WriteFile(fmt.Sprintf("/proc/%d/autogroup", pid), []byte(fmt.Sprint(niceness)), 0)
	defer asUser(cmd.SysProcAttr.Credential)()
	if err := unix.Setpriority(unix.PRIO_PROCESS, pid, nice); err != nil {
		p.lacks = append(p.lacks, "a lower priority")
	}
	// Slices can be set since Linux 6.12; elsewhere nothing changes.
	_ = unix.SchedSetAttr(pid, &unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_NORMAL, Nice: int32(nice), Runtime: uint64(slice)}, 0)
	for which, n := range limits { // they do not depend on each other
		var old unix.Rlimit
		err := unix.Prlimit(pid, which, nil, &old)
		if err == nil {
			n = min(n, old.Max)
			err = unix.Prlimit(pid, which, &unix.Rlimit{Cur: n, Max: n}, nil)
		}
		if err != nil {
			return fmt.Errorf("limits: %w", err)
		}
	}
	if err := p.forbid(pid, cmd.SysProcAttr.Ptrace, c); err != nil || !cmd.SysProcAttr.Ptrace {
		return err
	}
	return syscall.PtraceDetach(pid)
}

// forbid has the program start no processes if it may not: what it would take to try
// without end is not bounded by their number.
func (p *Child) forbid(pid int, stopped bool, c Command) error {
	if c.Processes {
		return nil
	}
	ok := false
	if stopped && !slices.Contains(c.without, noProcesses) {
		var err error
		if ok, err = startsNone(pid); err != nil {
			return fmt.Errorf("%s: %w", noProcesses, err)
		}
	}
	if !ok {
		p.lacks = append(p.lacks, noProcesses)
	}
	return nil
}

// asUser makes this thread, and no other, one of a user until back is called:
// limits are set by the same user, or with a capability that containers lack.
func asUser(c *syscall.Credential) (back func()) {
	if c == nil {
		return func() {}
	}
	const same = ^uintptr(0)
	uid, gid := uintptr(os.Getuid()), uintptr(os.Getgid())
	_, _, _ = unix.RawSyscall(unix.SYS_SETRESGID, uintptr(c.Gid), same, same) // what fails shows in what is
	_, _, _ = unix.RawSyscall(unix.SYS_SETRESUID, uintptr(c.Uid), same, same) // done with it
	return func() {
		_, _, _ = unix.RawSyscall(unix.SYS_SETRESUID, uid, same, same)
		_, _, _ = unix.RawSyscall(unix.SYS_SETRESGID, gid, same, same)
	}
}

// alive reports whether there is a process with an id.
func alive(pid int) bool { return !errors.Is(unix.Kill(pid, 0), unix.ESRCH) }

// Kill kills the process with all of its group, at once.
func (p *Child) Kill() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.reaped { // afterwards its id may be another's
		_ = unix.Kill(-p.group, unix.SIGKILL)
	}
}
