package verbs

import (
	"strings"

	"github.com/pfs-project/pfs/cli"
)

// execMany is how many paths one command of -exec … + is given.
const execMany = 500

// actions are what find may do with what matches, by name.
func (e *expression) actions() map[string]func() (test, error) {
	f := e.f
	return map[string]func() (test, error){
		"-print":  func() (test, error) { return f.always(func(at found) error { return f.print(at, "\n") }), nil },
		"-print0": func() (test, error) { return f.always(func(at found) error { return f.print(at, "\x00") }), nil },
		"-prune": func() (test, error) {
			return f.always(func(found) error { f.prune = true; return nil }), nil
		},
		"-depth": func() (test, error) { f.depth = true; return yes, nil },
		"-delete": func() (test, error) {
			f.depth = true
			return func(at found) (bool, error) {
				err := f.c.Remove(f.ctx, at.path)
				if err != nil {
					f.app.Say("pfs: %s", cli.Explain(err))
					f.failed = true
				}
				return err == nil, f.ctx.Err()
			}, nil
		},
		"-exec": e.exec,
	}
}

// always is a test that is true once it has acted.
func (f *finder) always(act func(found) error) test {
	return func(at found) (bool, error) { return true, act(at) }
}

// exec runs a command for each path, or for as many as fit.
func (e *expression) exec() (_ test, err error) {
	if e.f.server, err = e.f.app.Environ(); err != nil {
		return nil, err
	}
	var command []string
	for {
		a, ok := e.next()
		switch {
		case !ok:
			return nil, cli.Usage("find: -exec ends with ; or {} +, which a shell wants as '\\;'")
		case a == ";" && len(command) > 0:
			return e.f.execEach(command), nil
		case a == "+" && len(command) > 1 && command[len(command)-1] == "{}":
			return e.f.execMany(command[:len(command)-1]), nil
		}
		command = append(command, a)
	}
}

func (f *finder) execEach(command []string) test {
	return func(at found) (bool, error) {
		args := make([]string, len(command))
		for i, a := range command {
			args[i] = strings.ReplaceAll(a, "{}", at.at)
		}
		return f.app.Exec(f.ctx, f.server, args) == 0, f.ctx.Err()
	}
}

func (f *finder) execMany(command []string) test {
	var paths []string
	flush := func() error {
		if len(paths) == 0 {
			return nil
		}
		args := append(append([]string{}, command...), paths...)
		paths = nil
		if f.app.Exec(f.ctx, f.server, args) != 0 {
			f.failed = true
		}
		return f.ctx.Err()
	}
	f.ends = append(f.ends, flush)
	return func(at found) (bool, error) {
		if paths = append(paths, at.at); len(paths) == execMany {
			return true, flush()
		}
		return true, nil
	}
}
