// Command testcount runs "go test", prints a line for each package and all that
// a failed or skipped test said, and adds the counts to a file. A failure or a
// skip makes it fail. A few failed tests are run a second time, see again; what
// passes then is counted, and told, as flaky.
//
//	testcount FILE go test [-flag=value …] [package …]
//	testcount -sum FILE
package main

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
)

const usage = "usage: testcount FILE go test [-flag=value …] [package …], or testcount -sum FILE"

func main() {
	if err := run(os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "testcount:", err)
		os.Exit(1)
	}
}

func run(args []string, out io.Writer) error {
	if len(args) == 2 && args[0] == "-sum" {
		return sum(args[1], out)
	}
	if len(args) < 3 {
		return fmt.Errorf(usage)
	}
	command := args[1:]
	c, err := test(command, out)
	if err != nil {
		return err
	}
	if err := c.again(command, out); err != nil {
		return err
	}
	if err := c.save(args[0]); err != nil {
		return err
	}
	fmt.Fprintln(out, c)
	return c.verdict()
}

// failedTests is how go test exits after a failure of what it runs or builds.
const failedTests = 1

// test runs command, "go test …", and counts. That it failed is in the count.
func test(command []string, out io.Writer) (count, error) {
	command = slices.Insert(slices.Clone(command), 2, "-json")
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Stderr = os.Stderr
	events, err := cmd.StdoutPipe()
	if err != nil {
		return count{}, err
	}
	if err := cmd.Start(); err != nil {
		return count{}, err
	}
	c, err := read(events, out)
	werr := cmd.Wait()
	if err == nil && werr != nil && (len(c.broken) == 0 || cmd.ProcessState.ExitCode() != failedTests) {
		err = fmt.Errorf("%s: %w", strings.Join(command, " "), werr)
	}
	return c, err
}
