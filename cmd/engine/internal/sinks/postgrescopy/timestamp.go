package postgrescopy

import "strconv"

// Postgres' timestamptz reaches from 4714-11-24 BC up to, but not including, the year 294277.
const (
	firstMS = -210866803200000
	endMS   = 9224318016000000
	dayMS   = 24 * 60 * 60 * 1000
)

// appendTimestamp appends milliseconds since 1970 as the text of a timestamptz. A timestamp that
// Postgres cannot hold becomes infinite: it must not cost the record.
func appendTimestamp(dst []byte, ms int64) []byte {
	switch {
	case ms < firstMS:
		return append(dst, "-infinity"...)
	case ms >= endMS:
		return append(dst, "infinity"...)
	}
	days, inDay := ms/dayMS, ms%dayMS
	if inDay < 0 {
		days, inDay = days-1, inDay+dayMS
	}
	dst, beforeChrist := appendDate(dst, days)
	dst = appendPadded(append(dst, ' '), inDay/3600000, 2)
	dst = appendPadded(append(dst, ':'), inDay/60000%60, 2)
	dst = appendPadded(append(dst, ':'), inDay/1000%60, 2)
	dst = appendPadded(append(dst, '.'), inDay%1000, 3)
	dst = append(dst, "+00"...)
	if beforeChrist {
		dst = append(dst, " BC"...)
	}
	return dst
}

// civil converts days since 1970 to a date of the proleptic Gregorian calendar, by Howard Hinnant's
// days_from_civil algorithm (chrono-Compatible Low-Level Date Algorithms).
func civil(days int64) (year, month, day int64) {
	days += 719468
	era := days / 146097
	if days < 0 {
		era = (days - 146096) / 146097
	}
	dayOfEra := days - era*146097
	yearOfEra := (dayOfEra - dayOfEra/1460 + dayOfEra/36524 - dayOfEra/146096) / 365
	dayOfYear := dayOfEra - (365*yearOfEra + yearOfEra/4 - yearOfEra/100)
	shifted := (5*dayOfYear + 2) / 153
	day = dayOfYear - (153*shifted+2)/5 + 1
	month = shifted + 3
	year = yearOfEra + era*400
	if month > 12 {
		month -= 12
		year++
	}
	return year, month, day
}

func appendPadded(dst []byte, n int64, width int) []byte {
	limit := int64(1)
	for range width - 1 {
		limit *= 10
		if n < limit {
			dst = append(dst, '0')
		}
	}
	return strconv.AppendInt(dst, n, 10)
}

// appendDate appends the date that lies so many days after 1970-01-01; years before Christ count from 1, and want a word
// behind the clock.
func appendDate(dst []byte, days int64) (date []byte, beforeChrist bool) {
	year, month, day := civil(days)
	beforeChrist = year <= 0
	if beforeChrist {
		year = 1 - year
	}
	dst = appendPadded(dst, year, 4)
	dst = appendPadded(append(dst, '-'), month, 2)
	return appendPadded(append(dst, '-'), day, 2), beforeChrist
}
