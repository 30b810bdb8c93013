// Package registry reads Avro records in Confluent's wire format: a zero byte, a schema's number in four
// bytes, and the value. Schemas come from a registry that speaks Confluent's published API and are kept, since a
// number never changes its schema. A registry that is away is waited for; only its word makes a record poison.
package registry

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"ddpm/engine/internal/formats/avro"
	"ddpm/engine/internal/records/jsontext"
	"ddpm/engine/internal/records/reason"
)

// Codes of the reasons for which a record cannot be read with the registry's schemas.
const (
	codeWireFormat    = "not_wire_format"
	codeUnknownSchema = "unknown_schema"
	codeBadSchema     = "bad_schema"
)

const (
	headerLength   = 5
	requestTimeout = 10 * time.Second
	maxAnswer      = 16 << 20
	maxReferences  = 200
	// unknownFor is how long a number stays unknown: it may be registered late, and poison may come in floods.
	unknownFor = 10 * time.Second
)

// Client decodes records; it serves any number of goroutines.
type Client struct {
	base        *url.URL
	token       string
	http        *http.Client
	firstPause  time.Duration
	longest     time.Duration
	onObstacle  func(err error)
	onRecovered func()

	mutex   sync.Mutex
	schemas map[uint32]known
}

type known struct {
	schema  *avro.Schema
	failure *reason.Reason
	until   time.Time
}

// Access is how a registry is reached, besides the user and password that its address may carry. Its zero value is enough for
// one that asks for nothing else.
type Access struct {
	// CA is a file of PEM certificates that are trusted in place of those of the system.
	CA string
	// Token goes with every question, as a bearer of it.
	Token string
}

// New returns a Client of the registry at an http or https address, which may carry user and password.
// onObstacle is called once when the registry cannot be asked, onRecovered when it can again.
func New(address string, access Access, onObstacle func(err error), onRecovered func()) (*Client, error) {
	base, err := url.Parse(address)
	if err != nil || base.Host == "" || (base.Scheme != "http" && base.Scheme != "https") {
		return nil, errors.New("the schema registry needs an address like http://host:8081")
	}
	client := &http.Client{Timeout: requestTimeout}
	if access.CA != "" {
		if client.Transport, err = trusting(access.CA); err != nil {
			return nil, err
		}
	}
	return &Client{
		base: base, token: access.Token, http: client, firstPause: 200 * time.Millisecond, longest: 10 * time.Second,
		onObstacle: onObstacle, onRecovered: onRecovered, schemas: map[uint32]known{},
	}, nil
}

func trusting(path string) (*http.Transport, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("%s holds no certificate in PEM", path)
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: pool}
	return transport, nil
}

// Decode returns the JSON document of one record, or why it is poison. It waits as long as the registry is away; the
// error is the context's alone.
func (c *Client) Decode(ctx context.Context, payload []byte) ([]byte, *reason.Reason, error) {
	if len(payload) < headerLength || payload[0] != 0 {
		return nil, reason.New(reason.StageParse, codeWireFormat, fmt.Sprintf(
			"not Confluent's wire format: a zero byte and a schema's number must come first, not %x",
			payload[:min(headerLength, len(payload))])), nil
	}
	schema, failure, err := c.schema(ctx, binary.BigEndian.Uint32(payload[1:headerLength]))
	if err != nil || failure != nil {
		return nil, failure, err
	}
	doc, failure := schema.Datum(payload[headerLength:])
	return doc, failure, nil
}

// schema asks one question at a time: records that need other schemas wait behind it in any case.
func (c *Client) schema(ctx context.Context, id uint32) (*avro.Schema, *reason.Reason, error) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	if found, ok := c.schemas[id]; ok && (found.schema != nil || time.Now().Before(found.until)) {
		return found.schema, found.failure, nil
	}
	pause := c.firstPause
	for {
		schema, err := c.fetch(ctx, id)
		var poison *reason.Reason
		if err == nil || errors.As(err, &poison) {
			if pause > c.firstPause {
				c.onRecovered()
			}
			c.schemas[id] = known{schema: schema, failure: poison, until: time.Now().Add(unknownFor)}
			return schema, poison, nil
		}
		if ctx.Err() != nil {
			return nil, nil, ctx.Err()
		}
		if pause == c.firstPause {
			c.onObstacle(err)
		}
		select {
		case <-ctx.Done():
			return nil, nil, ctx.Err()
		case <-time.After(pause/2 + rand.N(pause/2)):
		}
		pause = min(2*pause, c.longest)
	}
}

type answer struct {
	Schema     string      `json:"schema"`
	Type       string      `json:"schemaType"`
	References []reference `json:"references"`
}

type reference struct {
	Name    string `json:"name"`
	Subject string `json:"subject"`
	Version int    `json:"version"`
}

// fetch returns a schema, a *reason.Reason that is the registry's own word, or any other error for an obstacle.
func (c *Client) fetch(ctx context.Context, id uint32) (*avro.Schema, error) {
	found, err := c.get(ctx, "schemas", "ids", strconv.FormatUint(uint64(id), 10))
	if err != nil {
		return nil, err
	}
	if found.Type != "" && found.Type != "AVRO" {
		return nil, reason.New(reason.StageParse, codeBadSchema, fmt.Sprintf("schema %d is %s, not AVRO", id, found.Type))
	}
	texts, err := c.references(ctx, found.References, map[reference]bool{}, nil)
	if err != nil {
		return nil, err
	}
	schema, err := avro.Compile([]byte(found.Schema), texts...)
	if err != nil {
		return nil, reason.New(reason.StageParse, codeBadSchema, fmt.Sprintf("schema %d: %s", id, err))
	}
	return schema, nil
}

// references appends the referenced schemas, those first that others refer to.
func (c *Client) references(ctx context.Context, wanted []reference, seen map[reference]bool, texts [][]byte) ([][]byte, error) {
	for _, ref := range wanted {
		if seen[ref] {
			continue
		}
		seen[ref] = true
		if len(seen) > maxReferences {
			return nil, reason.New(reason.StageParse, codeBadSchema, fmt.Sprintf("more than %d references", maxReferences))
		}
		found, err := c.get(ctx, "subjects", ref.Subject, "versions", strconv.Itoa(ref.Version))
		if err != nil {
			return nil, err
		}
		if texts, err = c.references(ctx, found.References, seen, texts); err != nil {
			return nil, err
		}
		texts = append(texts, []byte(found.Schema))
	}
	return texts, nil
}

func (c *Client) get(ctx context.Context, path ...string) (*answer, error) {
	for i := range path {
		path[i] = url.PathEscape(path[i])
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, c.base.JoinPath(path...).String(), nil)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Accept", "application/vnd.schemaregistry.v1+json, application/json")
	if c.token != "" {
		request.Header.Set("Authorization", "Bearer "+c.token)
	}
	response, err := c.http.Do(request)
	if err != nil {
		return nil, err
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if err != nil {
		return nil, err
	}
	if response.StatusCode == http.StatusNotFound {
		return nil, notFound(body, strings.Join(path, "/"))
	}
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the schema registry answers %s", response.Status)
	}
	var found answer
	if err := json.Unmarshal(jsontext.WithoutMark(body), &found); err != nil || found.Schema == "" {
		return nil, errors.New("the schema registry's answer has no schema")
	}
	return &found, nil
}

// notFound distinguishes a registry's own 404, which carries its error code, from that of a proxy or a wrong address.
func notFound(body []byte, path string) error {
	var word struct {
		Code int `json:"error_code"`
	}
	if json.Unmarshal(jsontext.WithoutMark(body), &word) != nil || word.Code/100 != http.StatusNotFound && word.Code != http.StatusNotFound {
		return errors.New("404 without the error code of a schema registry: is its address right?")
	}
	return reason.New(reason.StageParse, codeUnknownSchema, fmt.Sprintf("the schema registry has no %s (error %d)", path, word.Code))
}
