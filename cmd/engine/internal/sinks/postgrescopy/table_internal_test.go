package postgrescopy

import "testing"

func TestAColumnWithMoreRoomTakesWhatItTookBefore(t *testing.T) {
	for _, c := range []struct {
		before, now string
		want        bool
	}{
		{"character varying(3)", "character varying(10)", true},
		{"character varying(10)", "character varying(3)", false},
		{"character(3)", "character(5)", true},
		{"character(3)", "character varying(5)", false},
		{"numeric(5,2)", "numeric(10,2)", true},
		{"numeric(5,2)", "numeric(6,3)", true},
		{"numeric(5,2)", "numeric(5,3)", false},
		{"numeric(5,2)", "numeric(10,0)", false},
		{"numeric(5,2)", "numeric", true},
		{"numeric", "numeric(5,2)", false},
		{"character varying(3)[]", "character varying(4)[]", true},
		{"character varying(3)[]", "character varying(4)", false},
		{"timestamp(0) without time zone", "timestamp(3) without time zone", true},
		{"timestamp(3) without time zone", "timestamp without time zone", true},
		{"timestamp without time zone", "timestamp(3) without time zone", false},
		{"timestamp(3) without time zone", "timestamp(3) with time zone", false},
		{"interval(3)", "interval", true},
		{"integer", "double precision", true},
		{"bigint", "double precision", false},
	} {
		if got := takesAll(tableColumn{Type: c.now}, tableColumn{Type: c.before}); got != c.want {
			t.Errorf("%s takes all of %s: %t, want %t", c.now, c.before, got, c.want)
		}
	}
}
