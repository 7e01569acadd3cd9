package bench

import (
	"context"
	"fmt"
)

// freshReads compares linearizable reads with local ones on the leader, and on a
// follower where there is one; all sides take turns.
func freshReads(ctx context.Context, s *stage) error {
	status, err := s.api.Cluster(ctx)
	if err != nil {
		return fmt.Errorf("only PFS has linearizable reads: %w", err)
	}
	places := map[string]string{}
	for _, n := range status.Nodes {
		if n.State == "leader" || n.State == "follower" {
			places[n.State] = n.HTTPAddress
		}
	}
	for _, clients := range s.Clients {
		o := s.Options
		o.Clients = clients
		for _, place := range []string{"follower", "leader"} {
			if places[place] == "" {
				continue
			}
			if err := s.freshAt(ctx, o, place, places[place]); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *stage) freshAt(ctx context.Context, o Options, place, url string) error {
	v := newValues(o.Size)
	w, err := s.api.WriteFile(ctx, s.server.Files+"/fresh", v.write(nil, 1, 1))
	if err != nil {
		return err
	}
	var wrong witness
	side := func(consistency string) (Case, func(), error) {
		r, err := Server{URLs: []string{url}, Token: s.server.Token, TLS: s.server.TLS, Files: s.server.Files}.open(o.Clients)
		if err != nil {
			return Case{}, nil, err
		}
		query := "/files?" + s.file("fresh") + "&consistency=" + consistency
		// A read that waits for the write makes the node have it before the load.
		if _, err := r.sessions[0].do(ctx, "GET", fmt.Sprintf("/files?%s&min_index=%d", s.file("fresh"), w.Index), nil); err != nil {
			return Case{}, nil, err
		}
		op := func(ctx context.Context, c, _ int) error {
			body, err := r.sessions[c].do(ctx, "GET", query, nil)
			if err != nil {
				return err
			}
			_, err = v.read(body, 1)
			return wrong.saw(err)
		}
		return Case{Spec: o.Spec("get "+consistency+", "+place, int64(v.size), op), After: wrong.verdict}, func() { _ = r.close() }, nil
	}
	fresh, end, err := side("linearizable")
	if err != nil {
		return err
	}
	defer end()
	local, end2, err := side("local")
	if err != nil {
		return err
	}
	defer end2()
	return s.compare(ctx, fresh, local)
}
