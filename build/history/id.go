package history

import (
	"crypto/rand"
	"strconv"
	"time"
)

// An ID names a build. IDs sort by the time at which builds began.
type ID string

const (
	idDigits = "0123456789abcdefghijklmnopqrstuvwxyz"
	idTime   = 8 // digits of the milliseconds since 1970, enough until 2059
	idRandom = 3
)

// newID makes the id of a build that began at t.
func newID(t time.Time) ID {
	b := []byte(strconv.FormatInt(t.UnixMilli(), len(idDigits)))
	for len(b) < idTime {
		b = append([]byte{'0'}, b...)
	}
	var r [idRandom]byte
	_, _ = rand.Read(r[:]) // never fails
	for _, x := range r {
		b = append(b, idDigits[int(x)%len(idDigits)])
	}
	return ID(b)
}

// time is when the build began, the zero time for what is no id.
func (id ID) time() time.Time {
	if len(id) != idTime+idRandom {
		return time.Time{}
	}
	ms, err := strconv.ParseInt(string(id[:idTime]), len(idDigits), 64)
	if err != nil {
		return time.Time{}
	}
	return time.UnixMilli(ms)
}

func (id ID) valid() bool { return !id.time().IsZero() }
