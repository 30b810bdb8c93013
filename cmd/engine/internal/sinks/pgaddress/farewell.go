package pgaddress

import (
	"context"
	"errors"
	"net"
	"syscall"
)

// startBytes are more than a client sends until it is let in.
const startBytes = 32 * 1024

// farewell lets a client read why a server hangs up on it.
//
// With TLS 1.3 a server looks at the client's certificate after the client has gone on to its first message. If it
// refuses, it sends an alert and closes, and that message may find the connection closed: the client would give up with
// "connection reset by peer", and the reason would lie unread in its buffer. Such a write seems to succeed here; what
// is read next is the reason, or that the connection is gone.
type farewell struct {
	net.Conn
	written int
	failed  bool
}

func dialFarewell(dialer *net.Dialer) func(context.Context, string, string) (net.Conn, error) {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dialer.DialContext(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return &farewell{Conn: conn}, nil
	}
}

func (f *farewell) Write(p []byte) (int, error) {
	n, err := f.Conn.Write(p)
	hungUp := errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
	if hungUp && !f.failed && f.written < startBytes {
		f.failed = true
		return len(p), nil
	}
	f.written += n
	return n, err
}
