package postgrescopy

import (
	"errors"
	"strconv"
	"strings"
	"time"
	// The engine runs where no zones are installed, too.
	_ "time/tzdata"
)

// Codes of a record whose value a column's format cannot read.
const (
	codeBadFormat = "bad_format"
	codeTooDeep   = "array_too_deep"
)

// Formats of a column's values.
const (
	formatJSON = "json"
	formatISO  = "iso"
)

// epochs holds how many digits of a second a count since 1970 has.
var epochs = map[string]int{"epoch_s": 0, "epoch_ms": 3, "epoch_us": 6, "epoch_ns": 9}

// format reads the times of a column. A count since 1970 is an instant; other texts are in zone unless they
// have an offset from UTC.
type format struct {
	text    string
	digits  int
	pattern []directive
	iso     bool
	zone    *time.Location
}

// directive is one step of a pattern: a conversion, white space, or text that must stand there.
type directive struct {
	conversion byte
	literal    string
}

// shorthands are the conversions that stand for several.
var shorthands = strings.NewReplacer("%%", "%%", "%F", "%Y-%m-%d", "%T", "%H:%M:%S", "%R", "%H:%M", "%D", "%m/%d/%y")

const conversions = "YymdbBjaAHIpMSfz"

// newFormat returns nil for a column without one. How a text stands for JSON is not a matter of time.
func newFormat(text, zone string) (*format, error) {
	if zone != "" && text == "" {
		text = formatISO
	}
	if text == "" || text == formatJSON {
		if zone != "" {
			return nil, errors.New("the format json has no zone")
		}
		return nil, nil
	}
	f := &format{text: text, iso: text == formatISO}
	digits, isEpoch := epochs[text]
	f.digits = digits
	var err error
	if !isEpoch && !f.iso {
		if f.pattern, err = compile(text); err != nil {
			return nil, err
		}
	}
	if zone != "" {
		if f.zone, err = time.LoadLocation(zone); err != nil || zone == "Local" {
			return nil, errors.New("there is no time zone " + strconv.Quote(zone))
		}
	}
	return f, nil
}

func compile(text string) ([]directive, error) {
	if !strings.Contains(text, "%") {
		return nil, errors.New("there is no format " + strconv.Quote(text))
	}
	var steps []directive
	rest := shorthands.Replace(text)
	for rest != "" {
		switch {
		case rest[0] == '%':
			if len(rest) < 2 || rest[1] != '%' && strings.IndexByte(conversions, rest[1]) < 0 {
				return nil, errors.New("the format " + strconv.Quote(text) + " has an unknown conversion at " + strconv.Quote(rest))
			}
			if rest[1] == '%' {
				steps = append(steps, directive{literal: "%"})
			} else {
				steps = append(steps, directive{conversion: rest[1]})
			}
			rest = rest[2:]
		case isSpace(rest[0]):
			steps = append(steps, directive{conversion: ' '})
			rest = strings.TrimLeft(rest, spaces)
		default:
			end := strings.IndexAny(rest, "%"+spaces)
			if end < 0 {
				end = len(rest)
			}
			steps = append(steps, directive{literal: rest[:end]})
			rest = rest[end:]
		}
	}
	return steps, nil
}

const spaces = " \t\n\v\f\r"

func isSpace(c byte) bool { return strings.IndexByte(spaces, c) >= 0 }

// moment is a time as it was read. picos are of its second.
type moment struct {
	year, month, day, hour, minute, second int64
	picos                                  int64
	afternoon, twelve, hasDay              bool
	yearday                                int64
	offset                                 int64
	hasOffset                              bool
}

const picosASecond = 1_000_000_000_000

// append appends what a column of a kind takes for a text; false if the text is none of this format, or a
// time that the zone leaves out.
func (f *format) append(dst []byte, text string, to kind) ([]byte, bool) {
	text = strings.Trim(text, spaces)
	if f.pattern == nil && !f.iso {
		seconds, picos, ok := sinceEpoch(text, f.digits)
		return f.appendInstant(dst, seconds, picos, to, ok)
	}
	var m moment
	m.month, m.day = 1, 1
	var ok bool
	if f.iso {
		ok = m.readISO(text)
	} else {
		ok = m.read(f.pattern, text)
	}
	if !ok || !m.valid() {
		return dst, false
	}
	if to == kindClock {
		return m.appendOffset(m.appendClock(dst)), true
	}
	seconds := daysFromCivil(m.year, m.month, m.day)*86400 + m.hour*3600 + m.minute*60 + m.second
	switch {
	case m.hasOffset && (to != kindDate || f.zone != nil):
		return f.appendInstant(dst, seconds-m.offset, m.picos, to, true)
	case f.zone != nil && to != kindLocal && to != kindDate:
		seconds, ok = instantIn(f.zone, seconds)
		return f.appendInstant(dst, seconds, m.picos, to, ok)
	}
	// Without a zone it is the session's.
	return appendDateTime(dst, seconds, m.picos, to)
}

// appendInstant appends an instant for a column of a kind; of those that know no zone, in the format's zone or UTC.
func (f *format) appendInstant(dst []byte, seconds, picos int64, to kind, ok bool) ([]byte, bool) {
	if !ok {
		return dst, false
	}
	if (to == kindLocal || to == kindDate || to == kindClock) && f.zone != nil {
		_, offset := time.Unix(seconds, 0).In(f.zone).Zone()
		seconds += int64(offset)
	}
	dst, ok = appendDateTime(dst, seconds, picos, to)
	if ok && to != kindLocal && to != kindDate && to != kindClock {
		dst = withZone(dst)
	}
	return dst, ok
}

// withZone puts the offset of UTC behind a time, and before the mark of a year before Christ.
func withZone(dst []byte) []byte {
	const era = " BC"
	if strings.HasSuffix(string(dst[max(0, len(dst)-len(era)):]), era) {
		return append(append(dst[:len(dst)-len(era)], "+00"...), era...)
	}
	return append(dst, "+00"...)
}

// appendDateTime appends seconds since 1970 of some zone as a time; false beyond what Postgres can hold.
func appendDateTime(dst []byte, seconds, picos int64, to kind) ([]byte, bool) {
	if seconds < firstMS/1000 || seconds >= endMS/1000 {
		return dst, false
	}
	days, inDay := seconds/86400, seconds%86400
	if inDay < 0 {
		days, inDay = days-1, inDay+86400
	}
	m := moment{hour: inDay / 3600, minute: inDay / 60 % 60, second: inDay % 60, picos: picos}
	if to == kindClock {
		return m.appendClock(dst), true
	}
	dst, beforeChrist := appendDate(dst, days)
	if to != kindDate {
		dst = m.appendClock(append(dst, ' '))
	}
	if beforeChrist {
		dst = append(dst, " BC"...)
	}
	return dst, true
}

func (m *moment) appendClock(dst []byte) []byte {
	dst = appendPadded(dst, m.hour, 2)
	dst = appendPadded(append(dst, ':'), m.minute, 2)
	dst = appendPadded(append(dst, ':'), m.second, 2)
	if m.picos == 0 {
		return dst
	}
	dst = appendPadded(append(dst, '.'), m.picos, 12)
	for dst[len(dst)-1] == '0' {
		dst = dst[:len(dst)-1]
	}
	return dst
}

func (m *moment) appendOffset(dst []byte) []byte {
	if !m.hasOffset {
		return dst
	}
	sign, offset := byte('+'), m.offset
	if offset < 0 {
		sign, offset = '-', -offset
	}
	dst = appendPadded(append(dst, sign), offset/3600, 2)
	dst = appendPadded(append(dst, ':'), offset/60%60, 2)
	if offset%60 != 0 {
		dst = appendPadded(append(dst, ':'), offset%60, 2)
	}
	return dst
}

// instantIn returns the first instant at which a clock of the zone shows a local time; false if none does.
func instantIn(zone *time.Location, local int64) (int64, bool) {
	// No zone is further than a day from UTC, and none changes twice within two days.
	_, before := time.Unix(local-86400, 0).In(zone).Zone()
	_, after := time.Unix(local+86400, 0).In(zone).Zone()
	for _, offset := range [...]int{max(before, after), min(before, after)} {
		instant := local - int64(offset)
		if _, now := time.Unix(instant, 0).In(zone).Zone(); now == offset {
			return instant, true
		}
	}
	return 0, false
}

// valid finishes what was read and reports whether a calendar and a clock have it.
func (m *moment) valid() bool {
	if m.twelve {
		if m.hour < 1 || m.hour > 12 {
			return false
		}
		m.hour %= 12
		if m.afternoon {
			m.hour += 12
		}
	}
	if m.yearday > 0 {
		_, m.month, m.day = civil(daysFromCivil(m.year, 1, 1) + m.yearday - 1)
		if m.yearday == 366 && m.month == 1 {
			return false
		}
	}
	if m.hasDay && m.year == 0 {
		return false
	}
	if m.month < 1 || m.month > 12 || m.day < 1 || m.hour > 24 || m.minute > 59 || m.second > 60 {
		return false
	}
	// The end of a day, and a leap second, are the moment behind them, as for Postgres.
	if m.hour == 24 && m.minute+m.second+m.picos != 0 {
		return false
	}
	_, month, _ := civil(daysFromCivil(m.year, m.month, m.day))
	return month == m.month
}

// daysFromCivil is the other direction of civil, by the same source.
func daysFromCivil(year, month, day int64) int64 {
	if month <= 2 {
		year--
	}
	era := year / 400
	if year < 0 {
		era = (year - 399) / 400
	}
	yearOfEra := year - era*400
	shifted := (month + 9) % 12
	dayOfEra := yearOfEra*365 + yearOfEra/4 - yearOfEra/100 + (153*shifted+2)/5 + day - 1
	return era*146097 + dayOfEra - 719468
}

// readISO reads a date, or a date and time, of ISO 8601 and RFC 3339, in its extended form.
func (m *moment) readISO(text string) bool {
	rest, ok := m.steps(isoDay, text)
	if !ok || rest == "" {
		return ok
	}
	if rest[0] != 'T' && rest[0] != 't' && rest[0] != ' ' {
		return false
	}
	if rest, ok = m.steps(isoMinute, strings.TrimLeft(rest[1:], " ")); !ok {
		return false
	}
	if strings.HasPrefix(rest, ":") {
		if rest, ok = m.steps(isoSecond, rest[1:]); !ok {
			return false
		}
		if rest != "" && (rest[0] == '.' || rest[0] == ',') {
			if rest, ok = m.steps(isoFraction, rest[1:]); !ok {
				return false
			}
		}
	}
	if rest == "" {
		return true
	}
	rest, ok = m.steps(isoOffset, strings.TrimLeft(rest, " "))
	return ok && rest == ""
}

var (
	isoDay      = mustCompile("%Y-%m-%d")
	isoMinute   = mustCompile("%H:%M")
	isoSecond   = mustCompile("%S")
	isoFraction = mustCompile("%f")
	isoOffset   = mustCompile("%z")
)

func mustCompile(pattern string) []directive {
	steps, err := compile(pattern)
	if err != nil {
		panic(err)
	}
	return steps
}

func (m *moment) read(pattern []directive, text string) bool {
	rest, ok := m.steps(pattern, text)
	return ok && rest == ""
}

func (m *moment) steps(pattern []directive, text string) (rest string, ok bool) {
	for _, d := range pattern {
		switch {
		case d.literal != "":
			text, ok = strings.CutPrefix(text, d.literal)
		case d.conversion == ' ':
			rest := strings.TrimLeft(text, spaces)
			ok = len(rest) < len(text)
			text = rest
		default:
			text, ok = m.conversion(d.conversion, text)
		}
		if !ok {
			return text, false
		}
	}
	return text, true
}

var months = []string{"january", "february", "march", "april", "may", "june", "july", "august", "september", "october", "november", "december"}

var weekdays = []string{"monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"}

func (m *moment) conversion(c byte, text string) (rest string, ok bool) {
	switch c {
	case 'Y':
		m.hasDay = true
		return number(text, 4, 4, &m.year)
	case 'y':
		rest, ok = number(text, 2, 2, &m.year)
		if m.year += 1900; m.year < 1969 {
			m.year += 100
		}
		return rest, ok
	case 'm':
		return number(text, 1, 2, &m.month)
	case 'd':
		return number(text, 1, 2, &m.day)
	case 'j':
		rest, ok = number(text, 1, 3, &m.yearday)
		return rest, ok && m.yearday >= 1 && m.yearday <= 366
	case 'H':
		return number(text, 1, 2, &m.hour)
	case 'I':
		m.twelve = true
		return number(text, 1, 2, &m.hour)
	case 'M':
		return number(text, 1, 2, &m.minute)
	case 'S':
		return number(text, 1, 2, &m.second)
	case 'f':
		return fraction(text, &m.picos)
	case 'z':
		return m.readOffset(text)
	case 'p':
		return m.readHalf(text)
	case 'b', 'B':
		var nth int
		rest, nth = named(months, text)
		m.month = int64(nth)
		return rest, nth > 0
	default:
		rest, nth := named(weekdays, text)
		return rest, nth > 0
	}
}

// number reads up to most digits, and at least so many.
func number(text string, least, most int, into *int64) (rest string, ok bool) {
	end := digitsOf(text, most)
	if end < least {
		return text, false
	}
	*into, _ = strconv.ParseInt(text[:end], 10, 64)
	return text[end:], true
}

func digitsOf(text string, most int) int {
	end := 0
	for end < len(text) && end < most && '0' <= text[end] && text[end] <= '9' {
		end++
	}
	return end
}

func fraction(text string, picos *int64) (rest string, ok bool) {
	end := digitsOf(text, len(text))
	if end == 0 || end > 12 {
		return text, false
	}
	*picos, _ = strconv.ParseInt(text[:end], 10, 64)
	for range 12 - end {
		*picos *= 10
	}
	return text[end:], true
}

func (m *moment) readOffset(text string) (rest string, ok bool) {
	m.hasOffset = true
	if text != "" && (text[0] == 'Z' || text[0] == 'z') {
		return text[1:], true
	}
	if text == "" || text[0] != '+' && text[0] != '-' {
		return text, false
	}
	negative := text[0] == '-'
	var hours, minutes int64
	if rest, ok = number(text[1:], 2, 2, &hours); !ok {
		return text, false
	}
	colon := strings.TrimPrefix(rest, ":")
	if after, two := number(colon, 2, 2, &minutes); two {
		rest = after
	} else if len(colon) < len(rest) {
		return text, false
	}
	m.offset = hours*3600 + minutes*60
	if negative {
		m.offset = -m.offset
	}
	return rest, hours <= 15 && minutes <= 59
}

func (m *moment) readHalf(text string) (rest string, ok bool) {
	if len(text) < 2 || text[1] != 'M' && text[1] != 'm' {
		return text, false
	}
	switch text[0] {
	case 'P', 'p':
		m.afternoon = true
	case 'A', 'a':
	default:
		return text, false
	}
	return text[2:], true
}

// named reads a name or its first three letters, in any case, and returns its place from 1; 0 for none.
func named(names []string, text string) (rest string, nth int) {
	for i, name := range names {
		for _, length := range [...]int{len(name), 3} {
			if len(text) >= length && strings.EqualFold(text[:length], name[:length]) {
				return text[length:], i + 1
			}
		}
	}
	return text, 0
}

// sinceEpoch reads a decimal number whose unit is so many digits of a second, without loss.
func sinceEpoch(text string, digits int) (seconds, picos int64, ok bool) {
	negative := strings.HasPrefix(text, "-")
	text = strings.TrimPrefix(text, "-")
	if !negative {
		text = strings.TrimPrefix(text, "+")
	}
	mantissa, exponent, hasExponent := strings.Cut(text, "e")
	if !hasExponent {
		mantissa, exponent, hasExponent = strings.Cut(text, "E")
	}
	shift := -digits
	if hasExponent {
		n, err := strconv.Atoi(exponent)
		if err != nil || n > 1000 || n < -1000 {
			return 0, 0, false
		}
		shift += n
	}
	whole, part, _ := strings.Cut(mantissa, ".")
	if whole == "" && part == "" || digitsOf(whole, len(whole)) < len(whole) || digitsOf(part, len(part)) < len(part) {
		return 0, 0, false
	}
	return scaled(whole+part, len(whole)+shift, negative)
}

// scaled takes digits with the point at a place apart into seconds and what is left of one.
func scaled(digits string, point int, negative bool) (seconds, picos int64, ok bool) {
	const most = 15
	stripped := strings.TrimLeft(digits, "0")
	point -= len(digits) - len(stripped)
	switch digits = stripped; {
	case digits == "":
		return 0, 0, true
	case point > most:
		return 0, 0, false
	case point > len(digits):
		digits += strings.Repeat("0", point-len(digits))
	case point < 0:
		digits, point = strings.Repeat("0", min(-point, 13))+digits, 0
	}
	seconds, _ = strconv.ParseInt("0"+digits[:point], 10, 64)
	part := (digits[point:] + "0000000000000")[:13]
	// The thirteenth digit rounds; Postgres keeps six.
	picos, _ = strconv.ParseInt(part[:12], 10, 64)
	if part[12] >= '5' {
		picos++
	}
	if picos == picosASecond {
		seconds, picos = seconds+1, 0
	}
	if negative {
		seconds = -seconds
		if picos > 0 {
			seconds, picos = seconds-1, picosASecond-picos
		}
	}
	return seconds, picos, true
}
