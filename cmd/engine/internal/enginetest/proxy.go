package enginetest

import (
	"bytes"
	"net"
	"sync"
	"testing"
	"time"
)

// Proxy stands in front of a server and can refuse, cut, mute, slow down or freeze its connections.
type Proxy struct {
	listener net.Listener
	target   string

	mu     sync.Mutex
	refuse bool
	muted  bool
	// muteAt mutes the answers once a client has sent it.
	muteAt []byte
	frozen chan struct{}
	delay  time.Duration
	// rewrite is what answers have for the server's address, and what they get in its place.
	rewrite [2][]byte
	// cutAfter is how many bytes of clients pass before one of them is cut; below 0 none is.
	cutAfter int
	cuts     int
	// held counts what stands still while all is frozen.
	held  int
	conns map[net.Conn]bool
}

// NewProxy starts a proxy on a free port of loopback, which ends with the test.
func NewProxy(t testing.TB, target string) *Proxy {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	p := &Proxy{listener: listener, target: target, cutAfter: -1, conns: map[net.Conn]bool{}}
	go p.serve()
	t.Cleanup(func() {
		listener.Close()
		p.Thaw()
		p.Cut()
	})
	return p
}

// Address is where the proxy listens.
func (p *Proxy) Address() string { return p.listener.Addr().String() }

func (p *Proxy) serve() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		p.mu.Lock()
		refuse := p.refuse
		p.mu.Unlock()
		var server net.Conn
		if !refuse {
			server, err = net.Dial("tcp", p.target)
		}
		if refuse || err != nil {
			client.Close()
			continue
		}
		p.mu.Lock()
		p.conns[client], p.conns[server] = true, true
		p.mu.Unlock()
		go p.pump(client, server, false)
		go p.pump(server, client, true)
	}
}

func (p *Proxy) pump(from, to net.Conn, answers bool) {
	defer p.end(from, to)
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		passes := n
		p.mu.Lock()
		if !answers && p.muteAt != nil && bytes.Contains(buf[:n], p.muteAt) {
			p.muted = true
		}
		if !answers && p.cutAfter >= 0 {
			if passes = min(n, p.cutAfter); passes < n {
				p.cutAfter = -1
				p.cuts++
			} else {
				p.cutAfter -= n
			}
		}
		frozen, muted, delay, rewrite := p.frozen, p.muted, p.delay, p.rewrite
		if frozen != nil {
			p.held++
		}
		p.mu.Unlock()
		if frozen != nil {
			<-frozen
		}
		if muted && answers && err == nil {
			continue
		}
		time.Sleep(delay)
		text := buf[:passes]
		if answers && rewrite[0] != nil {
			text = bytes.ReplaceAll(text, rewrite[0], rewrite[1])
		}
		if _, writeErr := to.Write(text); err != nil || writeErr != nil || passes < n {
			return
		}
	}
}

func (p *Proxy) end(conns ...net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, conn := range conns {
		conn.Close()
		delete(p.conns, conn)
	}
}

// Freeze makes all connections silent; Thaw lets them go on where they were.
func (p *Proxy) Freeze() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.frozen, p.held = make(chan struct{}), 0
}

// Held is how much stands still since Freeze.
func (p *Proxy) Held() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.held
}

// Thaw undoes Freeze.
func (p *Proxy) Thaw() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.frozen != nil {
		close(p.frozen)
		p.frozen = nil
	}
}

// MuteAt swallows what the server answers once a client has sent a text; Unmute ends that.
func (p *Proxy) MuteAt(text []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.muteAt = text
}

// Unmute undoes MuteAt.
func (p *Proxy) Unmute() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.muteAt, p.muted = nil, false
}

// SlowDown holds up each piece that passes, in either direction.
func (p *Proxy) SlowDown(by time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.delay = by
}

// Rewrite replaces what the server says of its own address, with as many bytes.
func (p *Proxy) Rewrite(from, to []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.rewrite = [2][]byte{from, to}
}

// CutAfter ends, once, the connection on which clients send the byte behind so many.
func (p *Proxy) CutAfter(bytes int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cutAfter = bytes
}

// Cuts is how many connections CutAfter has ended.
func (p *Proxy) Cuts() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.cuts
}

// Cut ends all connections, and new ones too as long as they are refused.
func (p *Proxy) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for conn := range p.conns {
		conn.Close()
		delete(p.conns, conn)
	}
}

// Refuse says whether new connections are refused.
func (p *Proxy) Refuse(refuse bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.refuse = refuse
}

// Away cuts all connections and refuses new ones until Back.
func (p *Proxy) Away() {
	p.Refuse(true)
	p.Cut()
}

// Back undoes Away.
func (p *Proxy) Back() { p.Refuse(false) }
