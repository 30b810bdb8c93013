package pgaddress

import (
	"errors"
	"net"
	"syscall"
	"testing"
)

// closed is a connection whose other side has hung up, with some words before.
type closed struct {
	net.Conn
	words string
}

func (c *closed) Write([]byte) (int, error) { return 0, syscall.ECONNRESET }

func (c *closed) Read(p []byte) (int, error) {
	if c.words == "" {
		return 0, syscall.ECONNRESET
	}
	n := copy(p, c.words)
	c.words = c.words[n:]
	return n, nil
}

func TestWhatAServerSaidBeforeItHungUpIsRead(t *testing.T) {
	f := &farewell{Conn: &closed{words: "alert"}}
	if n, err := f.Write([]byte("startup")); n != 7 || err != nil {
		t.Fatal(n, err)
	}
	words := make([]byte, 10)
	if n, err := f.Read(words); string(words[:n]) != "alert" || err != nil {
		t.Error(string(words), err)
	}
	if _, err := f.Read(words); !errors.Is(err, syscall.ECONNRESET) {
		t.Error(err)
	}
	if _, err := f.Write([]byte("again")); !errors.Is(err, syscall.ECONNRESET) {
		t.Error("a second write is told")
	}
}

func TestLaterWritesAreToldAtOnce(t *testing.T) {
	f := &farewell{Conn: &closed{words: "x"}, written: startBytes}
	if _, err := f.Write([]byte("rows")); !errors.Is(err, syscall.ECONNRESET) {
		t.Error(err)
	}
}
