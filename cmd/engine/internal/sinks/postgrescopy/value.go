package postgrescopy

import (
	"encoding/hex"
	"fmt"
	"strconv"
	"unsafe"

	"ddpm/engine/internal/records/jsontext"
	"ddpm/engine/internal/records/origin"
	"ddpm/engine/internal/records/reason"
)

// mostDimensions is how many an array of Postgres may have.
const mostDimensions = 6

// appendField appends a JSON value as COPY text. In a column of JSON each value stays what it is, and an array
// becomes one in a column of arrays.
func (col *column) appendField(dst []byte, s *scratch, sh shape, doc []byte, v jsontext.Value) ([]byte, *reason.Reason) {
	switch {
	case v.Kind == jsontext.Null || v.Kind == jsontext.Missing:
		return appendNull(dst), nil
	case sh.list && v.Kind == jsontext.Array:
		return col.appendList(dst, s, sh, doc, v)
	case !sh.list && col.format != nil:
		return col.appendMoment(dst, s, sh, doc, v)
	case !sh.list && sh.kind == kindJSON && !(col.asJSON && v.Kind == jsontext.String):
		return appendEscaped(dst, doc[v.Start:v.End]), nil
	}
	return appendValue(dst, s, doc, v, kindOther), nil
}

// appendValue appends a string as its text, a number as it is written, an object or array as JSON. A checked JSON
// string without escapes has nothing that COPY would escape.
func appendValue(dst []byte, s *scratch, doc []byte, v jsontext.Value, to kind) []byte {
	switch v.Kind {
	case jsontext.True, jsontext.False:
		if to == kindBoolean {
			return append(dst, doc[v.Start])
		}
		return append(dst, doc[v.Start:v.End]...)
	case jsontext.Number:
		return append(dst, doc[v.Start:v.End]...)
	case jsontext.String:
		inside := doc[v.Start+1 : v.End-1]
		if !v.Escaped {
			return append(dst, inside...)
		}
		s.text = jsontext.AppendUnescaped(s.text[:0], inside)
		return appendEscaped(dst, s.text)
	case jsontext.Object, jsontext.Array:
		return appendEscaped(dst, doc[v.Start:v.End])
	}
	return appendNull(dst)
}

// appendMoment appends a value that the column's format reads.
func (col *column) appendMoment(dst []byte, s *scratch, sh shape, doc []byte, v jsontext.Value) ([]byte, *reason.Reason) {
	text := s.plain(doc, v)
	out, ok := col.format.append(dst, view(text), sh.kind)
	if !ok || (v.Kind != jsontext.String && v.Kind != jsontext.Number) {
		return dst, col.unreadable(doc[v.Start:v.End])
	}
	return out, nil
}

func (col *column) unreadable(value []byte) *reason.Reason {
	return refusal(codeBadFormat, fmt.Sprintf("the column %q cannot hold %.200s, read as %s", col.name, value, col.format))
}

// String names the format for a person.
func (f *format) String() string {
	if f.zone == nil {
		return f.text
	}
	return f.text + " in " + f.zone.String()
}

// plain returns the text that a value stands for; it is good until the next call.
func (s *scratch) plain(doc []byte, v jsontext.Value) []byte {
	switch {
	case v.Kind != jsontext.String:
		return doc[v.Start:v.End]
	case !v.Escaped:
		return doc[v.Start+1 : v.End-1]
	}
	s.text = jsontext.AppendUnescaped(s.text[:0], doc[v.Start+1:v.End-1])
	return s.text
}

// view is a text without a copy, for callees that do not keep it.
func view(text []byte) string { return unsafe.String(unsafe.SliceData(text), len(text)) }

// appendList appends a JSON array as an array of Postgres.
func (col *column) appendList(dst []byte, s *scratch, sh shape, doc []byte, v jsontext.Value) ([]byte, *reason.Reason) {
	var refused *reason.Reason
	s.list, refused = col.list(s.list[:0], s, sh, doc, v, 1)
	return appendEscaped(dst, s.list), refused
}

func (col *column) list(dst []byte, s *scratch, sh shape, doc []byte, v jsontext.Value, depth int) ([]byte, *reason.Reason) {
	if depth > mostDimensions {
		return dst, refusal(codeTooDeep, fmt.Sprintf("an array of Postgres has no more than %d dimensions", mostDimensions))
	}
	dst = append(dst, '{')
	for at, first := v.Start+1, true; ; first = false {
		element, next, ok := s.scanner.Next(doc, at)
		if !ok {
			return append(dst, '}'), nil
		}
		if !first {
			dst = append(dst, sh.delimiter)
		}
		var refused *reason.Reason
		if dst, refused = col.element(dst, s, sh, doc, element, depth); refused != nil {
			return dst, refused
		}
		at = next
	}
}

// element appends an element of an array. Text is quoted, since NULL and the empty text would be something else.
func (col *column) element(dst []byte, s *scratch, sh shape, doc []byte, v jsontext.Value, depth int) ([]byte, *reason.Reason) {
	switch {
	case v.Kind == jsontext.Null:
		return append(dst, "NULL"...), nil
	case col.format != nil && v.Kind != jsontext.Array:
		var refused *reason.Reason
		s.inner, refused = col.appendMoment(s.inner[:0], s, sh, doc, v)
		return appendQuoted(dst, s.inner), refused
	case sh.kind == kindJSON && !(col.asJSON && v.Kind == jsontext.String):
		return appendQuoted(dst, doc[v.Start:v.End]), nil
	case v.Kind == jsontext.Array:
		return col.list(dst, s, sh, doc, v, depth+1)
	case v.Kind == jsontext.Number || v.Kind == jsontext.True || v.Kind == jsontext.False:
		return append(dst, doc[v.Start:v.End]...), nil
	}
	return appendQuoted(dst, s.plain(doc, v)), nil
}

// appendQuoted appends text as an element of an array.
func appendQuoted(dst, text []byte) []byte {
	dst = append(dst, '"')
	for _, c := range text {
		if c == '"' || c == '\\' {
			dst = append(dst, '\\')
		}
		dst = append(dst, c)
	}
	return append(dst, '"')
}

// appendOrigin appends what is known of the record besides its document.
func (col *column) appendOrigin(dst []byte, s *scratch, sh shape, o *origin.Origin) ([]byte, *reason.Reason) {
	switch col.from {
	case fromTimestamp:
		if !o.HasTimestamp && !col.key {
			return appendNull(dst), nil
		}
		if sh.kind != kindJSON {
			return appendTime(dst, o), nil
		}
		s.list = appendTime(s.list[:0], o)
		return col.appendText(dst, s, sh, view(s.list))
	case fromKey:
		return col.appendIfAny(dst, s, sh, o.Key)
	case fromKeyBytes:
		if o.Key == "" {
			return appendNull(dst), nil
		}
		return appendHex(dst, o.Key), nil
	case fromHeader:
		for i := len(o.Headers) - 1; i >= 0; i-- {
			if header := &o.Headers[i]; header.Name == col.header && len(header.Values) > 0 {
				return col.appendText(dst, s, sh, header.Values[len(header.Values)-1])
			}
		}
		return appendNull(dst), nil
	case fromTopic:
		return col.appendText(dst, s, sh, o.Topic)
	case fromPartition:
		return strconv.AppendInt(dst, int64(o.Partition), 10), nil
	}
	return strconv.AppendInt(dst, o.Offset, 10), nil
}

func appendTime(dst []byte, o *origin.Origin) []byte {
	if !o.HasTimestamp {
		return append(dst, "-infinity"...)
	}
	return appendTimestamp(dst, o.TimestampMS)
}

func (col *column) appendIfAny(dst []byte, s *scratch, sh shape, text string) ([]byte, *reason.Reason) {
	if text == "" {
		return appendNull(dst), nil
	}
	return col.appendText(dst, s, sh, text)
}

// appendText appends text that is no part of a document, by the rules for a JSON string.
func (col *column) appendText(dst []byte, s *scratch, sh shape, text string) ([]byte, *reason.Reason) {
	switch {
	case sh.list:
	case col.format != nil:
		out, ok := col.format.append(dst, text, sh.kind)
		if !ok {
			return dst, col.unreadable([]byte(strconv.Quote(text)))
		}
		return out, nil
	case sh.kind == kindBytes:
		return appendHex(dst, text), nil
	case sh.kind == kindJSON && !col.asJSON:
		s.text = appendJSONString(s.text[:0], text)
		return appendEscaped(dst, s.text), nil
	}
	s.text = append(s.text[:0], text...)
	return appendEscaped(dst, s.text), nil
}

func appendHex(dst []byte, text string) []byte {
	return hex.AppendEncode(append(dst, `\\x`...), unsafe.Slice(unsafe.StringData(text), len(text)))
}

// appendJSONString keeps bytes that are not text: Postgres refuses them.
func appendJSONString(dst []byte, text string) []byte {
	dst = append(dst, '"')
	for i := range len(text) {
		switch c := text[i]; {
		case c == '"' || c == '\\':
			dst = append(dst, '\\', c)
		case c < ' ':
			dst = append(dst, `\u00`...)
			dst = hex.AppendEncode(dst, []byte{c})
		default:
			dst = append(dst, c)
		}
	}
	return append(dst, '"')
}
