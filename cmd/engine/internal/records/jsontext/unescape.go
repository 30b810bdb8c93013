package jsontext

import (
	"bytes"
	"unicode/utf16"
	"unicode/utf8"
)

// AppendUnescaped appends the text that the inside of a checked JSON string stands for. Half of a
// surrogate pair, which no UTF-8 text can hold, becomes three bytes that are not valid UTF-8: who
// receives them refuses them, instead of storing another text than was sent.
func AppendUnescaped(dst, inside []byte) []byte {
	for i := 0; i < len(inside); {
		if inside[i] != '\\' {
			dst = append(dst, inside[i])
			i++
			continue
		}
		r, next := unescape(inside, i)
		dst = appendRune(dst, r)
		i = next
	}
	return dst
}

// unescape decodes the escape at i, and the second half of a surrogate pair with the first.
func unescape(inside []byte, i int) (r rune, next int) {
	switch c := inside[i+1]; c {
	case 'b':
		return '\b', i + 2
	case 'f':
		return '\f', i + 2
	case 'n':
		return '\n', i + 2
	case 'r':
		return '\r', i + 2
	case 't':
		return '\t', i + 2
	case 'u':
		r, _ = hex4(inside, i+2)
	default:
		return rune(c), i + 2
	}
	if next = i + 6; utf16.IsSurrogate(r) && next+1 < len(inside) && inside[next] == '\\' && inside[next+1] == 'u' {
		second, _ := hex4(inside, next+2)
		if pair := utf16.DecodeRune(r, second); pair != utf8.RuneError {
			return pair, next + 6
		}
	}
	return r, next
}

func appendRune(dst []byte, r rune) []byte {
	if utf16.IsSurrogate(r) {
		return append(dst, 0xE0|byte(r>>12), 0x80|byte(r>>6)&0x3F, 0x80|byte(r)&0x3F)
	}
	return utf8.AppendRune(dst, r)
}

// FindEscape returns where a checked document first has an escape of a character that is sought, or -1. Half of a
// surrogate pair comes as such.
func FindEscape(doc []byte, sought func(rune) bool) int {
	for i := 0; ; {
		at := bytes.IndexByte(doc[i:], '\\')
		if at < 0 || i+at+1 >= len(doc) {
			return -1
		}
		i += at
		r, next := unescape(doc, i)
		if sought(r) {
			return i
		}
		i = min(next, len(doc))
	}
}
