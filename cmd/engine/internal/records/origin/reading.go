package origin

import (
	"net"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/warpstreamlabs/bento/public/service"
)

// Reading is what the input knows of the brokers that it reads from. The input's client gets it as a hook.
type Reading struct {
	client atomic.Pointer[kgo.Client]
	// connections counts those that were made, whatever for. A client counts a connection before it uses it.
	connections atomic.Uint64
}

var _ kgo.HookBrokerConnect = (*Reading)(nil)

type readingKey struct{}

// ReadingOf returns the one that all components of a stream share.
func ReadingOf(mgr *service.Resources) *Reading {
	one, _ := mgr.GetOrSetGeneric(readingKey{}, &Reading{})
	return one.(*Reading)
}

// With takes the client that reads the records.
func (r *Reading) With(client *kgo.Client) { r.client.Store(client) }

// OnBrokerConnect counts a connection.
func (r *Reading) OnBrokerConnect(_ kgo.BrokerMetadata, _ time.Duration, _ net.Conn, err error) {
	if err == nil {
		r.connections.Add(1)
	}
}
