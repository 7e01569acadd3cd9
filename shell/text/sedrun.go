package text

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"
)

// What a command of sed does with the cycle.
var (
	errCycle   = errors.New("the next cycle")            // with printing
	errDelete  = errors.New("the next cycle, silently")  // d
	errRestart = errors.New("the cycle without reading") // D
)

// cycles reads lines and runs the script on each.
func (s *sedRun) cycles(ctx context.Context) error {
	again := false
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		if !again {
			var err error
			if s.space, err = s.in.next(s.space[:0]); err == io.EOF {
				return nil
			} else if err != nil {
				return err
			}
		}
		s.swapped, again = s.swapped && again, false
		err := s.cycle(ctx)
		var quit status
		switch {
		case errors.Is(err, errRestart):
			again = true
			err = s.flush(ctx)
		case errors.Is(err, errDelete):
			err = s.flush(ctx)
		case errors.As(err, &quit) && quit < 0: // Q prints nothing
		case err == nil, errors.Is(err, errCycle), errors.As(err, &quit):
			if printed := s.end(ctx); printed != nil {
				err = printed
			} else if err == errCycle {
				err = nil
			}
		}
		switch {
		case errors.As(err, &quit) && quit < 0: // Q
			return status(-quit - 1).orNil()
		case errors.As(err, &quit):
			return quit.orNil()
		case err != nil:
			return err
		}
	}
}

// orNil is nil for status 0.
func (s status) orNil() error {
	if s == 0 {
		return nil
	}
	return s
}

// end prints the pattern space, and what waits for the end of the cycle.
func (s *sedRun) end(ctx context.Context) error {
	if !s.quiet {
		if err := s.out.line(s.space, s.delim, s.in.ended); err != nil {
			return err
		}
	}
	return s.flush(ctx)
}

// flush prints what a and r queued.
func (s *sedRun) flush(ctx context.Context) error {
	for _, c := range s.append {
		if c.name == 'a' {
			if err := s.out.raw(c.text); err != nil {
				return err
			}
			continue
		}
		f, err := s.c.open(ctx, c.text)
		if err != nil {
			continue // POSIX: a file that cannot be read is as an empty one
		}
		if err = s.out.raw(""); err == nil {
			_, err = io.Copy(s.out.w, f)
		}
		f.Close()
		if err != nil {
			return err
		}
	}
	s.append = s.append[:0]
	return nil
}

// cycle runs the script once.
func (s *sedRun) cycle(ctx context.Context) error {
	steps := 0
	for i := 0; i < len(s.script); {
		if steps++; steps%1024 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		c := &s.script[i]
		i++
		if s.matches(c) == c.not {
			if c.name == '{' {
				i = c.jump
			}
			continue
		}
		switch c.name {
		case 'b':
			i = c.jump
		case 't', 'T':
			if s.swapped == (c.name == 't') {
				i = c.jump
			}
			s.swapped = false
		case '{', ':':
		default:
			if err := s.do[c.name](ctx, c); err != nil {
				return err
			}
		}
	}
	return nil
}

// commands are what the script may do beside jumping.
func (s *sedRun) commands() map[byte]func(context.Context, *sedCommand) error {
	return map[byte]func(context.Context, *sedCommand) error{
		's': func(_ context.Context, c *sedCommand) error { return s.substitute(c) },
		'y': func(_ context.Context, c *sedCommand) error { s.transliterate(c); return nil },
		'd': func(context.Context, *sedCommand) error { return errDelete },
		'D': func(context.Context, *sedCommand) error { return s.deleteLine() },
		'p': func(context.Context, *sedCommand) error { return s.out.line(s.space, s.delim, true) },
		'P': func(context.Context, *sedCommand) error {
			first, _, _ := bytes.Cut(s.space, []byte{s.delim})
			return s.out.line(first, s.delim, true)
		},
		'n': func(ctx context.Context, _ *sedCommand) error { return s.nextLine(ctx) },
		'N': func(ctx context.Context, _ *sedCommand) error { return s.joinLine(ctx) },
		'g': func(context.Context, *sedCommand) error { s.space = append(s.space[:0], s.hold...); return nil },
		'G': func(context.Context, *sedCommand) error { return s.grow(&s.space, s.hold) },
		'h': func(context.Context, *sedCommand) error { s.hold = append(s.hold[:0], s.space...); return nil },
		'H': func(context.Context, *sedCommand) error { return s.grow(&s.hold, s.space) },
		'x': func(context.Context, *sedCommand) error { s.space, s.hold = s.hold, s.space; return nil },
		'z': func(context.Context, *sedCommand) error { s.space = s.space[:0]; return nil },
		'=': func(context.Context, *sedCommand) error { return s.out.raw(fmt.Sprintf("%d\n", s.in.number)) },
		'l': func(context.Context, *sedCommand) error { return s.out.raw(unambiguous(s.space)) },
		'i': func(_ context.Context, c *sedCommand) error { return s.out.raw(c.text) },
		'c': func(_ context.Context, c *sedCommand) error { return s.change(c) },
		'a': func(_ context.Context, c *sedCommand) error { s.append = append(s.append, *c); return nil },
		'r': func(_ context.Context, c *sedCommand) error { s.append = append(s.append, *c); return nil },
		'w': func(_ context.Context, c *sedCommand) error {
			return s.files[c.text].line(s.space, s.delim, s.in.ended)
		},
		'q': func(_ context.Context, c *sedCommand) error { return status(c.number) },
		'Q': func(_ context.Context, c *sedCommand) error { return status(-c.number - 1) },
	}
}

// grow appends a line to a space.
func (s *sedRun) grow(to *[]byte, more []byte) error {
	if len(*to)+len(more) >= maxLine {
		return fmt.Errorf("a line became longer than %d bytes", maxLine)
	}
	*to = append(append(*to, s.delim), more...)
	return nil
}

func (s *sedRun) deleteLine() error {
	_, rest, more := bytes.Cut(s.space, []byte{s.delim})
	if !more {
		return errDelete
	}
	s.space = append(s.space[:0], rest...)
	return errRestart
}

// nextLine is n: without another line it ends as GNU's does, printing this one.
func (s *sedRun) nextLine(ctx context.Context) error {
	if s.in.last() && !s.in.ready(false) {
		return errCycle
	}
	if err := s.end(ctx); err != nil {
		return err
	}
	var err error
	s.space, err = s.in.next(s.space[:0])
	return err
}

// joinLine is N.
func (s *sedRun) joinLine(ctx context.Context) error {
	if s.in.last() && !s.in.ready(false) {
		return errCycle
	}
	if err := s.flush(ctx); err != nil {
		return err
	}
	if len(s.space) >= maxLine {
		return fmt.Errorf("a line became longer than %d bytes", maxLine)
	}
	var err error
	s.space, err = s.in.next(append(s.space, s.delim))
	return err
}

// change is c: of a range it prints the text once, at its end.
func (s *sedRun) change(c *sedCommand) error {
	if c.to == nil || c.not || !c.active {
		if err := s.out.raw(c.text); err != nil {
			return err
		}
	}
	return errDelete
}

func (s *sedRun) transliterate(c *sedCommand) {
	out := make([]byte, 0, len(s.space))
	for b := s.space; len(b) > 0; {
		r, size := utf8.DecodeRune(b)
		if to, ok := c.letters[r]; ok && (r != utf8.RuneError || size > 1) {
			out = utf8.AppendRune(out, to)
		} else {
			out = append(out, b[:size]...)
		}
		b = b[size:]
	}
	s.space = out
}

// unambiguous is the form of l: escapes, lines of at most 69 characters and a "$".
func unambiguous(space []byte) string {
	var b bytes.Buffer
	width := 0
	for len(space) > 0 {
		r, size := utf8.DecodeRune(space)
		var piece string
		switch i := bytes.IndexByte([]byte("\\\a\b\f\n\r\t\v"), space[0]); {
		case i >= 0:
			piece = "\\" + "\\abfnrtv"[i:i+1]
		case size == 1 && (r < ' ' || r >= 0x7f), r > 0x7f:
			for _, c := range space[:size] {
				piece += fmt.Sprintf("\\%03o", c)
			}
		default:
			piece = string(space[:size])
		}
		if width+len(piece) > 69 {
			b.WriteString("\\\n")
			width = 0
		}
		b.WriteString(piece)
		width += len(piece)
		space = space[size:]
	}
	b.WriteString("$\n")
	return b.String()
}
