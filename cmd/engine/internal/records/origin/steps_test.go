package origin

import "testing"

func TestAReasonNamesTheStepAndTheLineOfTheUsersFile(t *testing.T) {
	steps := stepsIn(`[{"name": "processors[0].mapping", "file": "app-config.yaml", "lines": [14, 15]}]`)
	cases := []struct {
		step *step
		said string
		want string
	}{
		{&steps[0], "failed assignment (line 2): x", "app-config.yaml:15: processors[0].mapping: failed assignment: x"},
		// Only what the engine says itself is replaced, not what a record quotes.
		{&steps[0], "failed assignment (line 1): value `(line 7)`", "app-config.yaml:14: processors[0].mapping: failed assignment: value `(line 7)`"},
		{&steps[0], "failed assignment (line 9): x", "app-config.yaml:14: processors[0].mapping: failed assignment (line 9): x"},
		{&steps[0], "x", "app-config.yaml:14: processors[0].mapping: x"},
		{&step{Name: "processors[3]"}, "failed assignment (line 2): x", "processors[3]: failed assignment (line 2): x"},
		{nil, "failed assignment (line 2): x", "failed assignment (line 2): x"},
	}
	for _, c := range cases {
		if got := c.step.described(c.said); got != c.want {
			t.Errorf("%q became %q, wanted %q", c.said, got, c.want)
		}
	}
}
