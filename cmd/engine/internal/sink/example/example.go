// Package example is the sink of docs/writing-a-sink.md: it posts records as lines of JSON to a URL.
package example

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/warpstreamlabs/bento/public/service"

	"ddpm/engine/internal/records/reason"
	"ddpm/engine/internal/sink"
)

func init() {
	spec := service.NewConfigSpec().
		Categories("ddpm").
		Summary("Posts records as lines of JSON to a URL.").
		Fields(
			service.NewStringField("url").Description("Where to."),
			service.NewDurationField("timeout").Description("How long an answer may take.").Default("30s"),
			service.NewOutputMaxInFlightField().Default(4),
		)
	err := service.RegisterBatchOutput("http_lines", spec,
		func(conf *service.ParsedConfig, mgr *service.Resources) (
			out service.BatchOutput, policy service.BatchPolicy, maxInFlight int, err error,
		) {
			url, urlErr := conf.FieldString("url")
			timeout, timeoutErr := conf.FieldDuration("timeout")
			maxInFlight, err = conf.FieldMaxInFlight()
			if err = errors.Join(urlErr, timeoutErr, err); err != nil {
				return nil, policy, 0, err
			}
			poster := &poster{url, &http.Client{Timeout: timeout}}
			return sink.New(poster, options, mgr), policy, maxInFlight, nil
		})
	if err != nil {
		panic(err)
	}
}

// Classes of what rows wait for.
const (
	classConnection = "connection"
	classServer     = "server"
	classRights     = "rights"
	classAddress    = "address"
	classNoOrigin   = "no_origin"
)

var options = sink.Options{
	Name:    "the HTTP server",
	Classes: []string{classConnection, classServer, classRights, classAddress, classNoOrigin},
	Metrics: sink.MetricsOf("http_lines"),
}

// poster is the sink.
type poster struct {
	url    string
	client *http.Client
}

// Connect posts nothing, which shows that the server is there and lets us in.
func (p *poster) Connect(ctx context.Context) error { return p.post(ctx, nil) }

// line is what the server gets of a record. By the id it recognises a record that has come again.
type line struct {
	ID       string          `json:"id"`
	Document json.RawMessage `json:"document"`
}

// Write posts all rows at once. A document that is not JSON would make the whole body wrong, so it is refused here.
func (p *poster) Write(ctx context.Context, rows sink.Rows) (sink.Result, error) {
	var body bytes.Buffer
	var result sink.Result
	lines := json.NewEncoder(&body)
	for i := range rows.Len() {
		from, ok := rows.Origin(i)
		if !ok {
			return sink.Result{}, errNoOrigin
		}
		document, err := rows.Document(i)
		if err == nil {
			err = lines.Encode(line{fmt.Sprintf("%s/%d/%d", from.Topic, from.Partition, from.Offset), document})
		}
		if err != nil {
			why := reason.New(reason.StageSink, "not_json", "not JSON: "+err.Error())
			result.Failures = append(result.Failures, sink.Failure{Index: i, Reason: why})
			continue
		}
		result.Committed++
	}
	if result.Committed == 0 {
		return result, nil
	}
	return result, p.post(ctx, body.Bytes())
}

var errNoOrigin = errors.New("a record has no origin: the pipeline must begin with the ddpm_origin processor")

// post sends a body, and makes an error of any answer but success.
func (p *poster) post(ctx context.Context, body []byte) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, p.url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/x-ndjson")
	answer, err := p.client.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(io.LimitReader(answer.Body, 1000))
	if err != nil {
		return err
	}
	if answer.StatusCode/100 != 2 {
		return &statusError{answer.StatusCode, string(text)}
	}
	return nil
}

type statusError struct {
	status int
	text   string
}

func (e *statusError) Error() string { return fmt.Sprintf("status %d: %s", e.status, e.text) }

// Classify says what an error means for the rows. The server takes a body as a whole or not at all, and does not say
// which line is bad: the kit finds out.
func (p *poster) Classify(err error) sink.Verdict {
	var answer *statusError
	switch {
	case err == errNoOrigin:
		return sink.Verdict{Kind: sink.Person, Class: classNoOrigin}
	case !errors.As(err, &answer):
		return sink.Verdict{Kind: sink.Retry, Class: classConnection}
	}
	switch answer.status {
	case http.StatusUnprocessableEntity:
		return sink.Verdict{Kind: sink.Refuse, Reason: reason.New(reason.StageSink, "refused", answer.text)}
	case http.StatusUnauthorized, http.StatusForbidden:
		return sink.Verdict{Kind: sink.Person, Class: classRights}
	case http.StatusNotFound, http.StatusMethodNotAllowed:
		return sink.Verdict{Kind: sink.Person, Class: classAddress}
	}
	return sink.Verdict{Kind: sink.Retry, Class: classServer}
}

// Close ends the connections that no write uses.
func (p *poster) Close(context.Context) error {
	p.client.CloseIdleConnections()
	return nil
}
