package bench

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"
)

// FollowerReads compares, on one follower, reads that ask a quorum with reads
// that do not. The two kinds take turns; the figures are those of the turn with
// the median ratio.
type FollowerReads struct {
	Local        Figures `json:"local"`
	Linearizable Figures `json:"linearizable"`
	Ratio        float64 `json:"ratio"` // linearizable over local, requests a second
}

const (
	followerClients = 64
	followerTurns   = 5
)

// followerReads measures reads of 1 KiB on one follower for d of each kind.
func (cl *cluster) followerReads(ctx context.Context, d time.Duration) (*FollowerReads, error) {
	if err := cl.everywhere(ctx, readPath, 1024); err != nil {
		return nil, err
	}
	url, err := cl.follower(ctx)
	if err != nil {
		return nil, err
	}
	var turns []FollowerReads
	for range followerTurns {
		var f FollowerReads
		if f.Local, err = readTurn(ctx, "local", url, d/followerTurns); err != nil {
			return nil, err
		}
		if f.Linearizable, err = readTurn(ctx, "linearizable", url, d/followerTurns); err != nil {
			return nil, err
		}
		f.Ratio = f.Linearizable.PerSecond / f.Local.PerSecond
		turns = append(turns, f)
	}
	slices.SortFunc(turns, func(a, b FollowerReads) int { return cmp.Compare(a.Ratio, b.Ratio) })
	return &turns[len(turns)/2], nil
}

func readTurn(ctx context.Context, consistency, url string, d time.Duration) (Figures, error) {
	return Load{Name: "follower GET, " + consistency, Method: "GET", Clients: followerClients, For: d,
		URL: func(int, int) string {
			return url + "/api/v1/files?path=" + readPath + "&consistency=" + consistency
		}}.Run(ctx)
}

// follower returns the URL of a node that does not lead.
func (cl *cluster) follower(ctx context.Context) (string, error) {
	s, err := cl.client.Cluster(ctx)
	if err != nil {
		return "", err
	}
	for _, n := range s.Nodes {
		if n.State == "follower" {
			return n.HTTPAddress, nil
		}
	}
	return "", errors.New("no node follows")
}
