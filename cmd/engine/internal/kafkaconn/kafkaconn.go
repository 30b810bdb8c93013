// Package kafkaconn says how clients of Kafka reach their brokers: in TLS or in plain text, and who they are to them. Every
// component that makes a client takes the options from here.
//
// What is said stands as JSON (contract.Security) in a variable of the environment that the component names: a
// configuration is a file, and passwords belong into none.
package kafkaconn

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/aws"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"
	"github.com/warpstreamlabs/bento/public/service"

	"ddpm/engine/internal/contract"
)

const (
	field = "security_env"
	// dialTimeout bounds a connection with its handshake; the client's own limit holds for none that dials by itself.
	dialTimeout = 5 * time.Second
)

// Field names the variable.
func Field() *service.ConfigField {
	return service.NewStringField(field).
		Description("The environment variable with TLS and SASL for the brokers, as JSON; empty for plain text and no name.").
		Default("")
}

// Security is how brokers are reached. Nil is plain text.
type Security struct {
	tls       *contract.SecurityTLS
	mechanism sasl.Mechanism
}

// FromConfig reads the variable that Field names.
func FromConfig(conf *service.ParsedConfig) (*Security, error) {
	variable, err := conf.FieldString(field)
	if err != nil || variable == "" {
		return nil, err
	}
	text, there := os.LookupEnv(variable)
	if !there {
		return nil, fmt.Errorf("the environment variable %q (%s) is not set", variable, field)
	}
	security, err := Parse(text)
	if err != nil {
		return nil, fmt.Errorf("the environment variable %q (%s): %w", variable, field, err)
	}
	return security, nil
}

// Parse reads JSON as the variable has it. No error quotes any of it.
func Parse(text string) (*Security, error) {
	var said contract.Security
	if json.Unmarshal([]byte(text), &said) != nil {
		return nil, errors.New("it does not hold JSON")
	}
	s := &Security{tls: said.TLS}
	if said.SASL == nil {
		return s, nil
	}
	switch m := said.SASL; m.Mechanism {
	case "PLAIN":
		s.mechanism = plain.Auth{User: m.Username, Pass: m.Password}.AsMechanism()
	case "SCRAM-SHA-256":
		s.mechanism = scram.Auth{User: m.Username, Pass: m.Password}.AsSha256Mechanism()
	case "SCRAM-SHA-512":
		s.mechanism = scram.Auth{User: m.Username, Pass: m.Password}.AsSha512Mechanism()
	case "AWS_MSK_IAM":
		s.mechanism = aws.Auth{AccessKey: m.Username, SecretKey: m.Password}.AsManagedStreamingIAMMechanism()
	case "OAUTHBEARER":
		if m.OAuth == nil {
			return nil, errors.New("OAUTHBEARER without a place where tokens come from")
		}
		s.mechanism = bearer(m.OAuth, said.TLS)
	default:
		return nil, fmt.Errorf("there is no SASL mechanism %q", m.Mechanism)
	}
	return s, nil
}

// Options are those of a client.
func (s *Security) Options() []kgo.Opt {
	if s == nil {
		return nil
	}
	var opts []kgo.Opt
	if s.tls != nil {
		opts = append(opts, kgo.Dialer(s.dial))
	}
	if s.mechanism != nil {
		opts = append(opts, kgo.SASL(s.mechanism))
	}
	return opts
}

// dial reads the certificates each time, so that those that were renewed are used without a restart.
func (s *Security) dial(ctx context.Context, network, address string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	config, err := configOf(s.tls, host)
	if err != nil {
		return nil, err
	}
	return handshake(ctx, network, address, config)
}
