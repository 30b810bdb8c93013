package jsontext

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"slices"
	"unicode/utf8"
)

// ErrTooDeep says that a document is nested deeper than Go's own JSON package reads.
var ErrTooDeep = errors.New("the document is nested deeper than 10,000 levels")

const mostLevels = 10_000

// Tree returns a checked document as Go's own JSON package would with UseNumber: maps, lists, texts, numbers as text, bools
// and nil. Half of a surrogate pair becomes U+FFFD. Its only error is ErrTooDeep.
func Tree(doc []byte) (any, error) {
	value, next := tree(doc, skipSpace(doc, 0), 0)
	if next < 0 {
		return nil, ErrTooDeep
	}
	return value, nil
}

// tree returns the value at i and where it ends; -1 where it is too deep.
func tree(doc []byte, i, level int) (value any, next int) {
	switch doc[i] {
	case '{', '[':
		if level == mostLevels {
			return nil, -1
		}
		if doc[i] == '{' {
			return treeObject(doc, i, level+1)
		}
		return treeArray(doc, i, level+1)
	case '"':
		return treeText(doc, i)
	case 't':
		return true, i + len("true")
	case 'f':
		return false, i + len("false")
	case 'n':
		return nil, i + len("null")
	}
	end := i + 1
	for end < len(doc) && numeric[doc[end]] {
		end++
	}
	return json.Number(doc[i:end]), end
}

// numeric marks the bytes that numbers consist of.
var numeric = func() (is [256]bool) {
	for _, c := range []byte("0123456789+-.eE") {
		is[c] = true
	}
	return is
}()

func treeText(doc []byte, i int) (text string, next int) {
	end, escaped, _ := skipString(doc, i)
	inside := doc[i+1 : end-1]
	if !escaped {
		return string(inside), end
	}
	unescaped := AppendUnescaped(make([]byte, 0, len(inside)), inside)
	if !utf8.Valid(unescaped) {
		unescaped = replaced(unescaped)
	}
	return string(unescaped), end
}

// replaced puts U+FFFD once in the place of each half of a surrogate pair, which AppendUnescaped leaves as three bytes.
func replaced(text []byte) []byte {
	out := make([]byte, 0, len(text))
	for i := 0; i < len(text); {
		r, size := utf8.DecodeRune(text[i:])
		if r == utf8.RuneError && size == 1 && text[i] == 0xED && i+2 < len(text) {
			size = 3
		}
		out = utf8.AppendRune(out, r)
		i += size
	}
	return out
}

func treeObject(doc []byte, i, level int) (map[string]any, int) {
	found := map[string]any{}
	if i = skipSpace(doc, i+1); doc[i] == '}' {
		return found, i + 1
	}
	for {
		var key string
		key, i = treeText(doc, i)
		i = skipSpace(doc, skipSpace(doc, i)+1)
		if found[key], i = tree(doc, i, level); i < 0 {
			return nil, i
		}
		if i = skipSpace(doc, i); doc[i] == '}' {
			return found, i + 1
		}
		i = skipSpace(doc, i+1)
	}
}

func treeArray(doc []byte, i, level int) ([]any, int) {
	found := []any{}
	if i = skipSpace(doc, i+1); doc[i] == ']' {
		return found, i + 1
	}
	for {
		var value any
		if value, i = tree(doc, i, level); i < 0 {
			return nil, i
		}
		found = append(found, value)
		if i = skipSpace(doc, i); doc[i] == ']' {
			return found, i + 1
		}
		i = skipSpace(doc, i+1)
	}
}

// AppendTree appends a value as Go's own JSON package writes it without HTML's escapes: keys in their order, U+FFFD as an
// escape for what is not UTF-8. The error is that package's, of a value that JSON cannot hold.
func AppendTree(dst []byte, value any) ([]byte, error) {
	var err error
	switch v := value.(type) {
	case nil:
		return append(dst, "null"...), nil
	case bool:
		if v {
			return append(dst, "true"...), nil
		}
		return append(dst, "false"...), nil
	case string:
		return appendText(dst, v), nil
	case []byte:
		if v == nil {
			return append(dst, "null"...), nil
		}
		return append(base64.StdEncoding.AppendEncode(append(dst, '"'), v), '"'), nil
	case map[string]any:
		if v == nil {
			return append(dst, "null"...), nil
		}
		keys := make([]string, 0, len(v))
		for key := range v {
			keys = append(keys, key)
		}
		slices.Sort(keys)
		dst = append(dst, '{')
		for i, key := range keys {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = append(appendText(dst, key), ':')
			if dst, err = AppendTree(dst, v[key]); err != nil {
				return dst, err
			}
		}
		return append(dst, '}'), nil
	case []any:
		if v == nil {
			return append(dst, "null"...), nil
		}
		dst = append(dst, '[')
		for i, each := range v {
			if i > 0 {
				dst = append(dst, ',')
			}
			if dst, err = AppendTree(dst, each); err != nil {
				return dst, err
			}
		}
		return append(dst, ']'), nil
	}
	text, err := marshal(value)
	return append(dst, text...), err
}
