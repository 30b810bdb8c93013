package pgtext

import (
	"regexp"
	"strconv"
	"strings"
	"time"
)

var (
	word    = regexp.MustCompile(`[a-z]+`)
	isoDate = regexp.MustCompile(`^(\d{4})-(\d{2})-(\d{2})(?:$|[ T])`)
	// What Postgres takes apart from its end: day, month, and the rest is the year.
	digitsOnly = regexp.MustCompile(`^(\d{5,20})(\d{2})(\d{2})$`)
)

var specialDays = map[string]bool{
	"epoch": true, "infinity": true, "now": true, "today": true, "tomorrow": true, "yesterday": true,
}

var lastYears = map[string]int{"timestamp": 294276, "date": 5874897}

// moment refuses what is not a date in any style: no digit, a day that no calendar has, and the seconds or
// milliseconds since 1970 that people mistake for one.
func moment(typeName, text string) *Refusal {
	stripped := trimmed(text)
	if !strings.ContainsAny(stripped, "0123456789") {
		for _, each := range word.FindAllString(strings.ToLower(stripped), -1) {
			if specialDays[each] {
				return nil
			}
		}
		return refused("22007", `invalid input syntax for type %s: "%s"`, typeName, text)
	}
	parts := isoDate.FindStringSubmatch(stripped)
	if parts == nil {
		parts = digitsOnly.FindStringSubmatch(stripped)
	}
	if parts == nil {
		return nil
	}
	year, err := strconv.Atoi(parts[1])
	month, _ := strconv.Atoi(parts[2])
	day, _ := strconv.Atoi(parts[3])
	if err != nil || month < 1 || month > 12 || day < 1 || day > daysIn(year, month) {
		return refused("22008", `date/time field value out of range: "%s"`, text)
	}
	if kind, _, _ := strings.Cut(typeName, " "); year > lastYears[kind] {
		return refused("22008", `%s out of range: "%s"`, kind, text)
	}
	return nil
}

func daysIn(year, month int) int {
	return time.Date(year, time.Month(month)+1, 0, 0, 0, 0, 0, time.UTC).Day()
}
