// Package csvtext reads delimited text (RFC 4180): quoted values may hold delimiters, line breaks and
// doubled quotes. Every value is text; an empty one without quotes is null, as in Postgres' own COPY.
package csvtext

import (
	"bytes"
	"errors"
	"fmt"
	"unicode/utf8"

	"ddpm/engine/internal/formats/jsonwrite"
	"ddpm/engine/internal/records/jsontext"
	"ddpm/engine/internal/records/reason"
)

// Codes of the reasons for which a row, or a record, cannot be read.
const (
	codeEmpty   = "empty"
	codeUTF8    = "invalid_utf8"
	codeColumns = "wrong_column_count"
	codeHeader  = "bad_header"
	codeNoRows  = "header_only"
	codeQuotes  = "not_csv"
)

// Decoder reads records of one shape; it is never changed and serves any number of goroutines.
type Decoder struct {
	delimiter byte
	columns   []string
	keys      [][]byte
	wanted    []string
}

// New returns a Decoder. Without columns, the first row of each record names them; it must then name one of the
// wanted, unless that is unknown.
func New(delimiter string, columns, wanted []string) (*Decoder, error) {
	if len(delimiter) != 1 || delimiter[0] >= utf8.RuneSelf || bytes.ContainsAny([]byte(delimiter), "\"\r\n") {
		return nil, fmt.Errorf("the delimiter must be one ASCII character other than a quote or a line break, not %q", delimiter)
	}
	d := &Decoder{delimiter: delimiter[0], columns: columns, wanted: wanted}
	if len(columns) == 0 {
		return d, nil
	}
	names := make([]value, len(columns))
	for i, name := range columns {
		names[i] = value{text: []byte(name)}
	}
	keys, err := keysOf(names)
	d.keys = keys
	return d, err
}

// Decode yields the documents of the rows, blank lines left out. A row with too few or too many values fails
// alone; from a quote that is out of place on nobody can say where rows begin, so that the record fails as a whole,
// as it does when its header cannot be the one that is wanted.
func (d *Decoder) Decode(payload []byte, yield func(doc []byte, failure *reason.Reason) bool) *reason.Reason {
	payload = jsontext.WithoutMark(payload)
	if len(bytes.TrimSpace(payload)) == 0 {
		return failed(codeEmpty, "empty message: there is no row")
	}
	if at := jsontext.InvalidUTF8(payload); at >= 0 {
		return failed(codeUTF8, fmt.Sprintf("invalid UTF-8 at byte %d: 0x%02x", at, payload[at]))
	}
	rows := scanner{in: payload, delimiter: d.delimiter, end: lineEnd(payload), line: 1}
	if failure := d.skipSeparatorLine(&rows); failure != nil {
		return failure
	}
	rows.first = rows.at
	return d.rows(&rows, yield)
}

func (d *Decoder) rows(rows *scanner, yield func(doc []byte, failure *reason.Reason) bool) *reason.Reason {
	keys, count := d.keys, 0
	for {
		line, start := rows.line, rows.at
		values, err := rows.next()
		switch {
		case err != nil:
			return failed(codeQuotes, err.Error())
		case values == nil:
			return d.end(rows, keys, count)
		case keys == nil:
			var failure *reason.Reason
			if keys, failure = d.named(values, rows.firstLine(start)); failure != nil {
				return failure
			}
			continue
		}
		count++
		doc, failure := []byte(nil), d.misfit(rows, values, len(keys), start, line, count == 1)
		if failure == nil {
			doc = document(keys, values)
		}
		if !yield(doc, failure) {
			return nil
		}
	}
}

// misfit says why values are not row of so many columns.
func (d *Decoder) misfit(rows *scanner, values []value, columns, start, line int, first bool) *reason.Reason {
	switch {
	case len(values) != columns:
		return failed(codeColumns, fmt.Sprintf("line %d has %d values and not %d%s",
			line, len(values), columns, d.otherCount(rows.firstLine(start), columns)))
	case first && d.repeated(values):
		return failed(codeHeader, fmt.Sprintf("line %d repeats the names of source.options.columns: "+
			"omit that option where the first line of each record names the columns", line))
	}
	return nil
}

// end says what is wrong with a record whose rows end here. A header without rows is an empty table, if it is known
// to be a header; else it may as well be a row.
func (d *Decoder) end(rows *scanner, keys [][]byte, count int) *reason.Reason {
	switch {
	case count > 0 || (len(d.wanted) > 0 && keys != nil):
		return nil
	case keys == nil || len(d.columns) > 0:
		return failed(codeEmpty, "empty message: there is no row")
	}
	return failed(codeNoRows, fmt.Sprintf("the record has the one line %.200q, which was taken for the names of the columns: "+
		"set source.options.columns if records have no line with names", rows.firstLine(rows.first)))
}

func document(keys [][]byte, values []value) []byte {
	size := 2
	for i, v := range values {
		size += len(keys[i]) + len(v.text) + 5
	}
	doc := append(make([]byte, 0, size), '{')
	for i, v := range values {
		if i > 0 {
			doc = append(doc, ',')
		}
		doc = append(doc, keys[i]...)
		if len(v.text) == 0 && !v.quoted {
			doc = append(doc, "null"...)
			continue
		}
		doc = jsonwrite.String(doc, v.text)
	}
	return append(doc, '}')
}

// keysOf returns the names as they stand in a document, with the colon.
func keysOf(names []value) ([][]byte, error) {
	keys := make([][]byte, len(names))
	taken := map[string]bool{}
	for i, name := range names {
		if len(name.text) == 0 {
			return nil, fmt.Errorf("column %d has no name", i+1)
		}
		if taken[string(name.text)] {
			return nil, fmt.Errorf("the column %q is named twice", name.text)
		}
		taken[string(name.text)] = true
		keys[i] = append(jsonwrite.String(nil, name.text), ':')
	}
	return keys, nil
}

type value struct {
	text   []byte
	quoted bool
}

// lineEnd returns the last byte of a line break: CR for text that has CR and no LF outside of quotes, else LF.
func lineEnd(text []byte) byte {
	if bytes.IndexByte(text, '\r') < 0 {
		return '\n'
	}
	end, quoted := byte('\n'), false
	for _, c := range text {
		switch {
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '\n':
			return '\n'
		case c == '\r':
			end = '\r'
		}
	}
	return end
}

// scanner splits text into rows. The standard library's reader does not distinguish "" from nothing.
type scanner struct {
	in        []byte
	at        int
	line      int
	delimiter byte
	end       byte
	first     int
	values    []value
}

// next returns the values of the next row that is not blank, nil at the end; they are valid until the next call.
func (s *scanner) next() ([]value, error) {
	for s.at < len(s.in) {
		s.values = s.values[:0]
		for more := true; more; {
			v, err := s.value()
			if err != nil {
				return nil, err
			}
			s.values = append(s.values, v)
			more = s.at < len(s.in) && s.in[s.at] == s.delimiter
			if more {
				s.at++
			}
		}
		s.lineBreak()
		if len(s.values) > 1 || len(s.values[0].text) > 0 || s.values[0].quoted {
			return s.values, nil
		}
	}
	return nil, nil
}

func (s *scanner) value() (value, error) {
	if s.at < len(s.in) && s.in[s.at] == '"' {
		return s.quotedValue()
	}
	start := s.at
	for s.at < len(s.in) && s.in[s.at] != s.delimiter && !s.atLineBreak() {
		if s.in[s.at] == '"' {
			return value{}, fmt.Errorf("line %d: a quote within a value that does not begin with one", s.line)
		}
		s.at++
	}
	return value{text: s.in[start:s.at]}, nil
}

var errOpen = errors.New("a quote is never closed")

func (s *scanner) quotedValue() (value, error) {
	opened := s.line
	s.at++
	start := s.at
	doubled := false
	for s.at < len(s.in) {
		switch c := s.in[s.at]; {
		case c == s.end:
			s.line++
		case c == '"' && s.at+1 < len(s.in) && s.in[s.at+1] == '"':
			doubled = true
			s.at++
		case c == '"':
			text := s.in[start:s.at]
			s.at++
			if s.at < len(s.in) && s.in[s.at] != s.delimiter && !s.atLineBreak() {
				return value{}, fmt.Errorf("line %d: text behind the quote that closes a value%s", s.line, s.advice())
			}
			if doubled {
				text = bytes.ReplaceAll(text, []byte(`""`), []byte(`"`))
			}
			return value{text: text, quoted: true}, nil
		}
		s.at++
	}
	return value{}, fmt.Errorf("line %d: %w", opened, errOpen)
}

// advice is for text behind a closing quote that may be the delimiter.
func (s *scanner) advice() string {
	if bytes.IndexByte([]byte(likely[:obvious]), s.in[s.at]) < 0 {
		return ""
	}
	return ": " + setDelimiter(s.in[s.at])
}

// firstLine returns the text from a place to the end of its line.
func (s *scanner) firstLine(start int) []byte {
	line := bytes.TrimLeft(s.in[start:], "\r\n")
	if end := bytes.IndexByte(line, s.end); end >= 0 {
		line = line[:end]
	}
	return bytes.TrimRight(line, "\r\n")
}

// atLineBreak reports whether a line ends here: with LF or CRLF, or with CR where that is how lines end.
func (s *scanner) atLineBreak() bool {
	c := s.in[s.at]
	return c == s.end || (c == '\r' && (s.at+1 == len(s.in) || s.in[s.at+1] == '\n'))
}

func (s *scanner) lineBreak() {
	if s.at < len(s.in) && s.in[s.at] == '\r' {
		s.at++
	}
	if s.end == '\n' && s.at < len(s.in) && s.in[s.at] == '\n' {
		s.at++
	}
	s.line++
}

func failed(code, message string) *reason.Reason {
	return reason.New(reason.StageParse, code, message)
}
