package vfs

// Unknown is the answer to a write whose fate is not known: it was handed to
// the log and may be applied or not. Only a retry under the same idempotency
// key tells.
type Unknown struct {
	Cause error // why no answer came; may be nil
}

// Error says that the outcome is not known, and why.
func (u *Unknown) Error() string {
	if u.Cause == nil {
		return "outcome unknown"
	}
	return "outcome unknown: " + u.Cause.Error()
}

// Unwrap returns the kind Unavailable and the cause.
func (u *Unknown) Unwrap() []error {
	if u.Cause == nil {
		return []error{Unavailable}
	}
	return []error{Unavailable, u.Cause}
}
