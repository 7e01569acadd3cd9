package serverinfofs

import "time"

// Traffic counts the bytes that clients exchanged with this node.
type Traffic interface {
	// Totals returns what came in from clients and went out to them since the
	// server started, in bytes. Safe for concurrent use.
	Totals() (in, out int64)
}

type noTraffic struct{}

func (noTraffic) Totals() (in, out int64) { return 0, 0 }

// sampleEvery is the least time that a rate is taken over.
const sampleEvery = time.Second

// rate is a count of bytes, and how fast it grew in bytes per second.
type rate struct{ total, now, peak int64 }

func (r rate) grow(total int64, d time.Duration) rate {
	now := int64(float64(total-r.total) / d.Seconds())
	return rate{total, now, max(r.peak, now)}
}

// rates is sampled when somebody reads it: a rate is the mean since the read
// before, and a peak is the highest of those.
type rates struct {
	traffic Traffic
	at      time.Time
	in, out rate
}

func newRates(t Traffic, at time.Time) rates {
	in, out := t.Totals()
	return rates{t, at, rate{total: in}, rate{total: out}}
}

// sample takes a new sample if the last is old enough. The caller locks.
func (r *rates) sample(now time.Time) rates {
	if d := now.Sub(r.at); d >= sampleEvery {
		in, out := r.traffic.Totals()
		r.in, r.out, r.at = r.in.grow(in, d), r.out.grow(out, d), now
	}
	return *r
}
