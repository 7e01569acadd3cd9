package supervise

import (
	"encoding/binary"
	"errors"
	"fmt"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/pfs-project/pfs/vfs"
)

// startsNone has a program, which this thread traces and which has stopped before its
// first instruction, start no processes any more: only threads. False: the machine does
// not let us, and the program is what it was. After an error it must not run.
func startsNone(pid int) (bool, error) {
	h, err := hold(pid)
	if err != nil || h == nil {
		return false, err
	}
	done, err := h.filter()
	return done, errors.Join(err, h.release())
}

// forks are the numbers of the system calls that start processes.
type forks struct {
	always []uint32 // fork and vfork
	clone  uint32   // starts a thread if its first argument says so
	clone3 uint32   // says it in memory, which no filter sees
}

// Where the parts of struct seccomp_data are that the filter reads.
const (
	atNumber = 0
	atArch   = 4
	atFlags  = 16 // the lower half of the first argument
)

// refuse is the part of the filter for one set of numbers; see seccomp(2). Without
// clone3 the C libraries go on with clone.
func (f forks) refuse() []unix.SockFilter {
	const isEqual = unix.BPF_JMP | unix.BPF_JEQ
	no := func(e unix.Errno) unix.SockFilter {
		return unix.SockFilter{Code: unix.BPF_RET, K: unix.SECCOMP_RET_ERRNO | uint32(e)}
	}
	load := func(at uint32) unix.SockFilter {
		return unix.SockFilter{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: at}
	}
	p := []unix.SockFilter{
		load(atNumber),
		{Code: unix.BPF_ALU | unix.BPF_AND, K: ^uint32(1 << 30)}, // the mark of the x32 ABI
		{Code: isEqual, K: f.clone3, Jf: 1}, no(unix.ENOSYS),
	}
	for _, n := range f.always {
		p = append(p, unix.SockFilter{Code: isEqual, K: n, Jf: 1}, no(unix.EPERM))
	}
	return append(p,
		unix.SockFilter{Code: isEqual, K: f.clone, Jf: 3}, load(atFlags),
		unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JSET, K: unix.CLONE_THREAD, Jt: 1}, no(unix.EPERM),
		unix.SockFilter{Code: unix.BPF_RET, K: unix.SECCOMP_RET_ALLOW})
}

// noForks is the filter for programs of 64 bits and of 32.
func noForks() []unix.SockFilter {
	long := forks{[]uint32{unix.SYS_FORK, unix.SYS_VFORK}, unix.SYS_CLONE, unix.SYS_CLONE3}.refuse()
	short := forks{[]uint32{2, 190}, 120, 435}.refuse()
	p := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: atArch},
		{Code: unix.BPF_JMP | unix.BPF_JEQ, K: unix.AUDIT_ARCH_X86_64, Jf: uint8(len(long))},
	}
	return append(append(p, long...), short...)
}

// held is a stopped process that can be had to make a system call: by its instruction
// in the place of what it would run next; see ptrace(2).
type held struct {
	pid  int
	was  syscall.PtraceRegs
	text [2]byte // what stands where it stopped
}

// longCode is the code segment of programs of 64 bits. Of those of 32 bits the kernel
// tells fewer registers, and not that one.
const longCode = 0x33

var errShort = vfs.Invalid.With("a program of 32 bits runs only where it is granted to start processes")

// hold looks at a process, and changes nothing of it; nil if the machine does not let us.
func hold(pid int) (*held, error) {
	h := &held{pid: pid}
	if syscall.PtraceGetRegs(pid, &h.was) != nil {
		return nil, nil
	}
	if h.was.Cs != longCode { // what a program is, it says itself: it could leave the filter out
		return nil, errShort
	}
	if _, err := syscall.PtracePeekText(pid, uintptr(h.was.Rip), h.text[:]); err != nil {
		return nil, nil
	}
	return h, nil
}

// release makes it what it was.
func (h *held) release() error {
	_, err := syscall.PtracePokeText(h.pid, uintptr(h.was.Rip), h.text[:])
	return errors.Join(err, syscall.PtraceSetRegs(h.pid, &h.was))
}

// filter puts the filter into the process, and reports whether it took it.
func (h *held) filter() (bool, error) {
	code := noForks()
	b, err := binary.Append(nil, binary.NativeEndian, code)
	if err != nil {
		return false, err
	}
	at := uintptr(h.was.Rsp)&^15 - 4096 // below its stack, of which a new program has more
	head := at + uintptr(len(b))        // of struct sock_fprog: how many there are, and where
	b = binary.NativeEndian.AppendUint64(b, uint64(len(code)))
	b = binary.NativeEndian.AppendUint64(b, uint64(at))
	if _, err := syscall.PtracePokeData(h.pid, at, b); err != nil {
		return false, err
	}
	result, err := h.call(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_SPEC_ALLOW, head)
	return result == 0, err
}

// call has the process make a system call, and returns its result: below zero, a number
// of an error.
func (h *held) call(number, a, b, c uintptr) (int64, error) {
	if _, err := syscall.PtracePokeText(h.pid, uintptr(h.was.Rip), []byte{0x0f, 0x05}); err != nil { // syscall
		return 0, err
	}
	regs := h.was
	regs.Rax, regs.Rdi, regs.Rsi, regs.Rdx = uint64(number), uint64(a), uint64(b), uint64(c)
	if err := syscall.PtraceSetRegs(h.pid, &regs); err != nil {
		return 0, err
	}
	if err := syscall.PtraceSingleStep(h.pid); err != nil {
		return 0, err
	}
	var st syscall.WaitStatus
	if _, err := syscall.Wait4(h.pid, &st, syscall.WALL, nil); err != nil {
		return 0, err
	}
	if !st.Stopped() || st.StopSignal() != syscall.SIGTRAP {
		return 0, fmt.Errorf("it does not come back from a system call: %#x", st)
	}
	err := syscall.PtraceGetRegs(h.pid, &regs)
	if err == nil && regs.Rip != h.was.Rip+2 {
		err = errors.New("it was stopped before it made a system call")
	}
	return int64(regs.Rax), err
}
