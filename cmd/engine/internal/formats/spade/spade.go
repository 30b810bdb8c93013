// Package spade reads the lines of Spade's edge servers: the sender's address, a time, events in base64,
// and the line's UUID.
//
//	192.0.2.1 [1763870706.789] data=eyJldmVudCI6… 0191f3c0-1c9a-7c3e-8f1d-2b3c4d5e6f70
package spade

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/netip"
	"regexp"
	"strconv"
	"time"

	"ddpm/engine/internal/formats/jsonwrite"
	"ddpm/engine/internal/records/jsontext"
	"ddpm/engine/internal/records/reason"
)

// Codes of the reasons for which a line, or one of its events, cannot be read.
const (
	codeEmpty     = "empty"
	codeNotSpade  = "not_spade"
	codeNotBase64 = "not_base64"
	codeUTF8      = "invalid_utf8"
	codeNotJSON   = "not_json"
	codeNotEvent  = "not_an_event"
)

var line = regexp.MustCompile(`^(\S+) \[(\d{1,12})\.(\d{3})\] data=(\S*) ` +
	`([0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12})$`)

const shape = "IP [seconds.millis] data=BASE64 UUID"

// Decode yields {"ip", "time", "uuid", "event", "properties"} for each event of a record, which is one line.
func Decode(payload []byte, yield func(doc []byte, failure *reason.Reason) bool) *reason.Reason {
	text := bytes.TrimSpace(jsontext.WithoutMark(payload))
	if len(text) == 0 {
		return failed(codeEmpty, "empty message: there is no line")
	}
	found := line.FindSubmatch(text)
	if found == nil {
		return failed(codeNotSpade, "not a line of the form "+shape)
	}
	head, err := headOf(found)
	if err != nil {
		return failed(codeNotSpade, err.Error())
	}
	data, err := unbase64(found[4])
	if err != nil {
		return failed(codeNotBase64, fmt.Sprintf("data is not base64: %s", err))
	}
	if at := jsontext.InvalidUTF8(data); at >= 0 {
		return failed(codeUTF8, fmt.Sprintf("data has invalid UTF-8 at byte %d: 0x%02x", at, data[at]))
	}
	events, failure := eventsOf(jsontext.WithoutMark(data))
	if failure != nil {
		return failure
	}
	for _, raw := range events {
		doc, failure := document(head, raw)
		if !yield(doc, failure) {
			return nil
		}
	}
	return nil
}

// headOf returns the beginning that all documents of a line share.
func headOf(found [][]byte) ([]byte, error) {
	address, err := netip.ParseAddr(string(found[1]))
	if err != nil {
		return nil, fmt.Errorf("%q is not an IP address", found[1])
	}
	// The pattern lets only digits through, fewer than overflow.
	seconds, _ := strconv.ParseInt(string(found[2]), 10, 64)
	millis, _ := strconv.ParseInt(string(found[3]), 10, 64)
	if !jsonwrite.InYears(seconds) {
		return nil, fmt.Errorf("the time %s.%s lies behind the year 9999", found[2], found[3])
	}
	head := jsonwrite.String([]byte(`{"ip":`), []byte(address.String()))
	head = jsonwrite.Instant(append(head, `,"time":`...), time.UnixMilli(seconds*1000+millis))
	head = jsonwrite.String(append(head, `,"uuid":`...), bytes.ToLower(found[5]))
	return append(head, `,"event":`...), nil
}

// unbase64 takes the standard and the URL-safe alphabet, padded or not.
func unbase64(text []byte) ([]byte, error) {
	text = bytes.TrimRight(text, "=")
	encoding := base64.RawStdEncoding
	if bytes.ContainsAny(text, "-_") {
		encoding = base64.RawURLEncoding
	}
	data := make([]byte, encoding.DecodedLen(len(text)))
	n, err := encoding.Strict().Decode(data, text)
	return data[:n], err
}

func eventsOf(data []byte) ([]json.RawMessage, *reason.Reason) {
	if err := new(jsontext.Scanner).Validate(data); err != nil {
		return nil, failed(codeNotJSON, fmt.Sprintf("data is not JSON: %s", err))
	}
	if bytes.HasPrefix(bytes.TrimSpace(data), []byte("[")) {
		var list []json.RawMessage
		if err := json.Unmarshal(data, &list); err != nil {
			return nil, failed(codeNotJSON, fmt.Sprintf("data is not a list: %s", err))
		}
		return list, nil
	}
	return []json.RawMessage{data}, nil
}

func document(head []byte, raw json.RawMessage) ([]byte, *reason.Reason) {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(raw, &fields); err != nil || fields == nil {
		return nil, failed(codeNotEvent, "an event must be an object with event and properties")
	}
	event, properties := bytes.TrimSpace(fields["event"]), bytes.TrimSpace(fields["properties"])
	if len(event) < 3 || event[0] != '"' {
		return nil, failed(codeNotEvent, "an event must have a name: event")
	}
	if len(properties) == 0 || properties[0] != '{' {
		return nil, failed(codeNotEvent, "an event must have an object: properties")
	}
	doc := make([]byte, 0, len(head)+len(event)+len(properties)+16)
	doc = append(append(doc, head...), event...)
	doc = append(append(doc, `,"properties":`...), properties...)
	return append(doc, '}'), nil
}

func failed(code, message string) *reason.Reason {
	return reason.New(reason.StageParse, code, message)
}
