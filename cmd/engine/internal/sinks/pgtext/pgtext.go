// Package pgtext says for certain texts and types that Postgres would refuse them, without asking it.
//
// It errs on one side only: what it refuses, every supported Postgres refuses with the same SQLSTATE.
// What it lets pass may still be refused: by a type that it does not know, by a constraint, a domain or
// a trigger, and by dates that it does not understand.
package pgtext

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"ddpm/engine/internal/records/jsontext"
)

// Refusal is what Postgres would answer.
type Refusal struct {
	SQLState string
	Message  string
}

// modified takes a type apart: its name, what stands in parentheses, and the brackets of an array.
var modified = regexp.MustCompile(`^([a-z_][a-z0-9_ ]*?) ?(?:\( ?(\d+) ?(?:, ?(\d+) ?)?\))?((?: ?[a-z][a-z ]*)?)((?: ?\[\d*\])*)$`)

// Refuses returns the answer of Postgres to a text for a column of a type; nil if it takes the text, or
// if that is not certain.
func Refuses(typeName, text string) *Refusal {
	if at := jsontext.InvalidUTF8([]byte(text)); at >= 0 {
		return refused("22021", `invalid byte sequence for encoding "UTF8": 0x%02x`, text[at])
	}
	if strings.ContainsRune(text, 0) {
		return refused("22021", `invalid byte sequence for encoding "UTF8": 0x00`)
	}
	name, parts, list := takeApart(typeName)
	if parts == nil {
		return nil
	}
	if list {
		return array(text)
	}
	first, _ := strconv.Atoi(parts[2])
	second, _ := strconv.Atoi(parts[3])
	switch name {
	case "smallint", "int2":
		return integer("smallint", 16, text)
	case "integer", "int", "int4":
		return integer("integer", 32, text)
	case "bigint", "int8":
		return integer("bigint", 64, text)
	case "numeric", "decimal":
		return numeric(text, parts[2] != "", first, second)
	case "real", "float4":
		return float("real", 32, text)
	case "double precision", "float8":
		return float("double precision", 64, text)
	case "boolean", "bool":
		return boolean(text)
	case "uuid":
		return uuid(text)
	case "json":
		return jsonText(text)
	case "jsonb":
		return jsonb(text)
	case "bytea":
		return bytea(text)
	case "varchar", "character varying":
		return length("character varying", text, first)
	case "char", "character":
		return length("character", text, max(first, 1))
	case "date":
		return moment("date", text)
	case "timestamp", "timestamp without time zone":
		return moment("timestamp", text)
	case "timestamptz", "timestamp with time zone":
		return moment("timestamp with time zone", text)
	}
	return nil
}

// Base returns the name of a type without what stands in parentheses, in the spelling of the built-in ones, and
// whether the type is an array of them. A name that is none of Postgres' own comes back as it may be.
func Base(typeName string) (name string, list bool) {
	name, _, list = takeApart(typeName)
	return name, list
}

// builtIn takes the name of a type apart whose schema or quotes change nothing.
var builtIn = regexp.MustCompile(`^(?i:(?:pg_catalog|"pg_catalog") ?\. ?)?(?:"([a-z][a-z0-9]*)"|(.*))`)

// internalArray is how the catalogue calls the arrays of built-in types.
var internalArray = regexp.MustCompile(`^_(?:bool|bytea|name|int[248]|float[48]|text|varchar|bpchar|numeric|jsonb?|uuid|date|timetz|time|timestamptz|timestamp|interval|inet|cidr|box)$`)

func takeApart(typeName string) (name string, parts []string, list bool) {
	text := strings.Join(strings.Fields(typeName), " ")
	// The quoted "char" is another type than char.
	if plain := builtIn.FindStringSubmatchIndex(text); plain[2] >= 0 && text[plain[2]:plain[3]] != "char" {
		text = text[plain[2]:plain[3]] + text[plain[1]:]
	} else if plain[4] >= 0 {
		text = text[plain[4]:]
	}
	parts = modified.FindStringSubmatch(strings.ToLower(text))
	if parts == nil {
		return "", nil, strings.HasSuffix(text, "]")
	}
	name = parts[1] + parts[4]
	name, isArray := strings.CutSuffix(strings.TrimSpace(name), " array")
	if internalArray.MatchString(name) {
		name, isArray = name[1:], true
	}
	return name, parts, isArray || parts[5] != ""
}

func refused(state, format string, values ...any) *Refusal {
	return &Refusal{state, fmt.Sprintf(format, values...)}
}

func syntax(typeName, text string) *Refusal {
	return refused("22P02", `invalid input syntax for type %s: "%s"`, typeName, text)
}

// trimmed is a text without what C counts as space.
func trimmed(text string) string { return strings.Trim(text, " \t\n\v\f\r") }

func array(text string) *Refusal {
	start := trimmed(text)
	if strings.HasPrefix(start, "{") || (len(start) > 1 && start[0] == '[' && strings.IndexByte("0123456789+- ", start[1]) >= 0 && strings.Contains(start, "=")) {
		return nil
	}
	return refused("22P02", `malformed array literal: "%s"`, text)
}

var (
	decimalInteger = regexp.MustCompile(`^[+-]?\d+(_\d+)*$`)
	leadingInteger = regexp.MustCompile(`^[+-]?\d+`)
	// Postgres 16 takes these, earlier ones do not.
	otherInteger = regexp.MustCompile(`(?i)^[+-]?0(x(_?[0-9a-f])+|o(_?[0-7])+|b(_?[01])+)$`)
)

func integer(typeName string, bits int, text string) *Refusal {
	digits := trimmed(text)
	if otherInteger.MatchString(digits) {
		return nil
	}
	whole := decimalInteger.MatchString(digits)
	if !whole {
		// Postgres reads from the left, and too many digits are what it meets first.
		digits = leadingInteger.FindString(digits)
	}
	_, err := strconv.ParseInt(strings.ReplaceAll(digits, "_", ""), 10, bits)
	switch {
	case errors.Is(err, strconv.ErrRange):
		return refused("22003", `value "%s" is out of range for type %s`, text, typeName)
	case !whole:
		return syntax(typeName, text)
	}
	return nil
}

var (
	decimal  = regexp.MustCompile(`^[+-]?([\d_]*)\.?([\d_]*)(?:[eE]([+-]?[\d_]+))?$`)
	infinity = regexp.MustCompile(`(?i)^[+-]?inf(inity)?$`)
)

// mostDigits is how many digits a numeric may have before the point.
const mostDigits = 131072

func numeric(text string, bounded bool, precision, scale int) *Refusal {
	word := trimmed(text)
	switch {
	case strings.EqualFold(word, "nan") || otherInteger.MatchString(word):
		return nil
	case infinity.MatchString(word):
		if bounded {
			return refused("22003", "numeric field overflow (A field with precision %d, scale %d cannot hold an infinite value.)", precision, scale)
		}
		return nil
	}
	parts := decimal.FindStringSubmatch(word)
	if parts == nil || parts[1]+parts[2] == "" {
		return syntax("numeric", text)
	}
	digits, leading, zero := magnitude(parts)
	switch {
	case zero:
		return nil
	case leading > mostDigits:
		return refused("22003", "value overflows numeric format")
	case bounded && (leading > precision-scale || leading == precision-scale && roundsUp(digits, precision)):
		return refused("22003", "numeric field overflow (A field with precision %d, scale %d must round to an absolute value less than %s.)",
			precision, scale, power(precision-scale))
	}
	return nil
}

// magnitude returns a number's digits without leading zeros, and how many of them stand before the point.
func magnitude(parts []string) (digits string, leading int, zero bool) {
	whole := strings.ReplaceAll(parts[1], "_", "")
	all := whole + strings.ReplaceAll(parts[2], "_", "")
	digits = strings.TrimLeft(all, "0")
	if digits == "" {
		return "", 0, true
	}
	exponent, err := strconv.Atoi(strings.ReplaceAll(parts[3], "_", ""))
	if err != nil && parts[3] != "" {
		exponent = 2 * mostDigits
		if strings.HasPrefix(parts[3], "-") {
			exponent = -exponent
		}
	}
	return digits, len(whole) - (len(all) - len(digits)) + exponent, false
}

// roundsUp reports whether digits become one more when they are rounded to so many.
func roundsUp(digits string, kept int) bool {
	return len(digits) > kept && strings.Trim(digits[:kept], "9") == "" && digits[kept] >= '5'
}

func power(exponent int) string {
	if exponent == 0 {
		return "1"
	}
	return fmt.Sprintf("10^%d", exponent)
}

var floating = regexp.MustCompile(`(?i)^[+-]?(?:((?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?)|inf(?:inity)?|nan|0x[0-9a-fp.+-]+)$`)

func float(typeName string, bits int, text string) *Refusal {
	word := trimmed(text)
	parts := floating.FindStringSubmatch(word)
	if parts == nil {
		return syntax(typeName, text)
	}
	if parts[1] == "" {
		return nil
	}
	value, err := strconv.ParseFloat(word, bits)
	mantissa, _, _ := strings.Cut(strings.ToLower(parts[1]), "e")
	if err != nil || (value == 0 && strings.Trim(mantissa, "0.") != "") {
		return refused("22003", `"%s" is out of range for type %s`, word, typeName)
	}
	return nil
}

func boolean(text string) *Refusal {
	word := strings.ToLower(trimmed(text))
	for _, full := range []string{"true", "false", "yes", "no"} {
		if word != "" && strings.HasPrefix(full, word) {
			return nil
		}
	}
	switch word {
	case "on", "of", "off", "1", "0":
		return nil
	}
	return syntax("boolean", text)
}

var hexadecimal = regexp.MustCompile(`^[0-9a-fA-F]{32}$`)

func uuid(text string) *Refusal {
	if hexadecimal.MatchString(strings.NewReplacer("{", "", "}", "", "-", "").Replace(text)) {
		return nil
	}
	return syntax("uuid", text)
}

func jsonText(text string) *Refusal {
	var scanner jsontext.Scanner
	if err := scanner.Validate([]byte(text)); err != nil {
		return refused("22P02", "invalid input syntax for type json (%v)", err)
	}
	return nil
}

var number = regexp.MustCompile(`^-?[0-9.eE+-]+`)

// jsonb looks at what JSON may hold and jsonb may not: the zero character, and numbers beyond numeric.
func jsonb(text string) *Refusal {
	if wrong := jsonText(text); wrong != nil {
		return wrong
	}
	inString := false
	for doc := []byte(text); len(doc) > 0; {
		size := 1
		switch {
		case doc[0] == '"':
			inString = !inString
		case inString && bytes.HasPrefix(doc, []byte(`\u0000`)):
			return refused("22P05", `unsupported Unicode escape sequence (\u0000 cannot be converted to text.)`)
		case inString && doc[0] == '\\':
			size = 2
		case !inString && (doc[0] == '-' || '0' <= doc[0] && doc[0] <= '9'):
			digits := number.Find(doc)
			size = len(digits)
			if wrong := numeric(string(digits), false, 0, 0); wrong != nil {
				return wrong
			}
		}
		doc = doc[size:]
	}
	return nil
}

var wrongEscape = regexp.MustCompile(`\\(?:[0-3][0-7]{2}|\\)`)

func bytea(text string) *Refusal {
	if digits, isHex := strings.CutPrefix(text, `\x`); isHex {
		digits = strings.Map(func(r rune) rune {
			if strings.ContainsRune(" \t\n\r", r) {
				return -1
			}
			return r
		}, digits)
		for _, r := range digits {
			if !strings.ContainsRune("0123456789abcdefABCDEF", r) {
				return refused("22023", `invalid hexadecimal digit: "%c"`, r)
			}
		}
		if len(digits)%2 != 0 {
			return refused("22023", "invalid hexadecimal data: odd number of digits")
		}
		return nil
	}
	if strings.Contains(wrongEscape.ReplaceAllString(text, ""), `\`) {
		return refused("22P02", "invalid input syntax for type bytea")
	}
	return nil
}

func length(typeName, text string, most int) *Refusal {
	if most == 0 || utf8.RuneCountInString(strings.TrimRight(text, " ")) <= most {
		return nil
	}
	return refused("22001", "value too long for type %s(%d)", typeName, most)
}
