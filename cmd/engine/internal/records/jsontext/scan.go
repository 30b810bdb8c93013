// Package jsontext checks JSON documents and finds values in them without building a tree.
//
// Nothing here recurses with the depth of a document, allocates per value or changes a byte: the
// text of a value stays what its producer wrote, so that a number keeps all of its digits.
package jsontext

import (
	"bytes"
	"fmt"
	"unicode/utf8"
)

// SyntaxError says what is wrong with a document, and at which byte (counted from 0).
type SyntaxError struct {
	Offset  int
	Message string
}

// Error returns the message with the place.
func (e *SyntaxError) Error() string {
	return fmt.Sprintf("%s at byte %d", e.Message, e.Offset)
}

// Scanner checks documents. It keeps its memory between documents and serves one goroutine.
type Scanner struct {
	open    []byte
	scratch []byte
}

// Validate reports the first error of a document, or nil if it is one JSON value (RFC 8259).
// Whether the bytes are UTF-8 is for InvalidUTF8 to say.
func (s *Scanner) Validate(doc []byte) error {
	start := skipSpace(doc, 0)
	end, err := s.skipValue(doc, start)
	if err != nil {
		return err
	}
	return checkEnd(doc, end)
}

// WithoutMark returns a text without the byte order mark that some programs put in front of it.
func WithoutMark(text []byte) []byte { return bytes.TrimPrefix(text, []byte("\uFEFF")) }

// InvalidUTF8 returns the position of the first byte that is not part of valid UTF-8, or -1.
func InvalidUTF8(doc []byte) int {
	if utf8.Valid(doc) {
		return -1
	}
	for i := 0; i < len(doc); {
		if doc[i] < utf8.RuneSelf {
			i++
			continue
		}
		r, size := utf8.DecodeRune(doc[i:])
		if r == utf8.RuneError && size == 1 {
			return i
		}
		i += size
	}
	return -1
}

func checkEnd(doc []byte, end int) error {
	if end = skipSpace(doc, end); end < len(doc) {
		return &SyntaxError{end, "unexpected text after the document: " + show(doc, end)}
	}
	return nil
}

// skipValue returns the position after the value that starts at i. The open objects and arrays are
// kept in a list instead of the goroutine's stack, which a deep document would exhaust.
func (s *Scanner) skipValue(doc []byte, i int) (int, error) {
	if i < len(doc) && doc[i] != '{' && doc[i] != '[' {
		return skipScalar(doc, i)
	}
	return s.skipContainer(doc, i)
}

func (s *Scanner) skipContainer(doc []byte, i int) (int, error) {
	open := s.open[:0]
	defer func() { s.keep(open) }()
	var err error
	for {
		if i >= len(doc) {
			return 0, unexpectedEnd(doc)
		}
		switch c := doc[i]; {
		case c == '{':
			if i = skipSpace(doc, i+1); i < len(doc) && doc[i] == '}' {
				i++
				break
			}
			if i, err = skipKey(doc, i); err != nil {
				return 0, err
			}
			open = append(open, '}')
			continue
		case c == '[':
			if i = skipSpace(doc, i+1); i < len(doc) && doc[i] == ']' {
				i++
				break
			}
			open = append(open, ']')
			continue
		default:
			if i, err = skipScalar(doc, i); err != nil {
				return 0, err
			}
		}
		for {
			if len(open) == 0 {
				return i, nil
			}
			if i = skipSpace(doc, i); i >= len(doc) {
				return 0, unexpectedEnd(doc)
			}
			closing := open[len(open)-1]
			if doc[i] == closing {
				open = open[:len(open)-1]
				i++
				continue
			}
			if doc[i] != ',' {
				return 0, expectedStep(doc, i, closing)
			}
			i = skipSpace(doc, i+1)
			if closing == '}' {
				if i, err = skipKey(doc, i); err != nil {
					return 0, err
				}
			}
			break
		}
	}
}

// keep reuses the list of open brackets unless one absurd document made it large.
func (s *Scanner) keep(open []byte) {
	const reasonable = 64 << 10
	if cap(open) <= reasonable {
		s.open = open
	}
}

func skipScalar(doc []byte, i int) (int, error) {
	switch c := doc[i]; {
	case c == '"':
		end, _, err := skipString(doc, i)
		return end, err
	case c == '-' || '0' <= c && c <= '9':
		return skipNumber(doc, i)
	case c == 't':
		return skipLiteral(doc, i, "true")
	case c == 'f':
		return skipLiteral(doc, i, "false")
	case c == 'n':
		return skipLiteral(doc, i, "null")
	}
	return 0, &SyntaxError{i, "expected a value but found " + show(doc, i)}
}

func skipKey(doc []byte, i int) (int, error) {
	if err := expect(doc, i, '"', "a key in double quotes"); err != nil {
		return 0, err
	}
	end, _, err := skipString(doc, i)
	if err != nil {
		return 0, err
	}
	return skipColon(doc, end)
}

func skipColon(doc []byte, i int) (int, error) {
	i = skipSpace(doc, i)
	if err := expect(doc, i, ':', "':'"); err != nil {
		return 0, err
	}
	return skipSpace(doc, i+1), nil
}

func expectedStep(doc []byte, i int, closing byte) error {
	if i >= len(doc) {
		return unexpectedEnd(doc)
	}
	return &SyntaxError{i, fmt.Sprintf("expected ',' or '%c' but found %s", closing, show(doc, i))}
}

func expect(doc []byte, i int, want byte, name string) error {
	if i >= len(doc) {
		return unexpectedEnd(doc)
	}
	if doc[i] != want {
		return &SyntaxError{i, fmt.Sprintf("expected %s but found %s", name, show(doc, i))}
	}
	return nil
}

func skipSpace(doc []byte, i int) int {
	for i < len(doc) && (doc[i] == ' ' || doc[i] == '\n' || doc[i] == '\t' || doc[i] == '\r') {
		i++
	}
	return i
}

func skipLiteral(doc []byte, i int, word string) (int, error) {
	end := i + len(word)
	if end <= len(doc) && string(doc[i:end]) == word {
		return end, nil
	}
	return 0, &SyntaxError{i, "expected a value but found " + show(doc, i)}
}

func skipNumber(doc []byte, i int) (int, error) {
	start := i
	if doc[i] == '-' {
		i++
	}
	whole := i
	if i = skipDigits(doc, i); i == whole {
		return 0, &SyntaxError{start, "incomplete number"}
	}
	if doc[whole] == '0' && i > whole+1 {
		return 0, &SyntaxError{start, "number with a leading zero"}
	}
	if i < len(doc) && doc[i] == '.' {
		fraction := i + 1
		if i = skipDigits(doc, fraction); i == fraction {
			return 0, &SyntaxError{start, "incomplete number"}
		}
	}
	if i < len(doc) && (doc[i] == 'e' || doc[i] == 'E') {
		i++
		if i < len(doc) && (doc[i] == '+' || doc[i] == '-') {
			i++
		}
		exponent := i
		if i = skipDigits(doc, i); i == exponent {
			return 0, &SyntaxError{start, "incomplete number"}
		}
	}
	return i, nil
}

func skipDigits(doc []byte, i int) int {
	for i < len(doc) && '0' <= doc[i] && doc[i] <= '9' {
		i++
	}
	return i
}

// stops marks the bytes at which the plain run of a string ends: the quote, the backslash and the
// control characters, which may not stand in a string.
var stops = func() (table [256]bool) {
	for c := range 0x20 {
		table[c] = true
	}
	table['"'], table['\\'] = true, true
	return table
}()

// skipString returns the position after the string that starts at i, and whether it has escapes.
func skipString(doc []byte, i int) (end int, escaped bool, err error) {
	start := i
	for i++; i < len(doc); {
		c := doc[i]
		switch {
		case !stops[c]:
			i++
		case c == '"':
			return i + 1, escaped, nil
		case c == '\\':
			escaped = true
			if i, err = skipEscape(doc, i); err != nil {
				return 0, false, err
			}
		default:
			return 0, false, &SyntaxError{i, fmt.Sprintf("control character 0x%02x in a string", c)}
		}
	}
	return 0, false, &SyntaxError{start, "string without an end"}
}

func skipEscape(doc []byte, i int) (int, error) {
	if i+1 >= len(doc) {
		return 0, unexpectedEnd(doc)
	}
	switch doc[i+1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return i + 2, nil
	case 'u':
		if _, ok := hex4(doc, i+2); ok {
			return i + 6, nil
		}
	}
	return 0, &SyntaxError{i, "invalid escape in a string"}
}

func hex4(doc []byte, i int) (rune, bool) {
	if i+4 > len(doc) {
		return 0, false
	}
	var r rune
	for _, c := range doc[i : i+4] {
		switch {
		case '0' <= c && c <= '9':
			r = r<<4 | rune(c-'0')
		case 'a' <= c && c <= 'f':
			r = r<<4 | rune(c-'a'+10)
		case 'A' <= c && c <= 'F':
			r = r<<4 | rune(c-'A'+10)
		default:
			return 0, false
		}
	}
	return r, true
}

func unexpectedEnd(doc []byte) error {
	return &SyntaxError{len(doc), "the document ends early"}
}

func show(doc []byte, i int) string {
	if i >= len(doc) {
		return "the end"
	}
	r, size := utf8.DecodeRune(doc[i:])
	if r == utf8.RuneError && size <= 1 {
		return fmt.Sprintf("byte 0x%02x", doc[i])
	}
	return fmt.Sprintf("%q", r)
}
