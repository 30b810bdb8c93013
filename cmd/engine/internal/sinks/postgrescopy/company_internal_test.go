package postgrescopy

import (
	"reflect"
	"testing"

	"ddpm/engine/internal/records/reason"
	"ddpm/engine/internal/sink"
)

func TestWhatBecameOfBatchesThatWereWrittenTogetherIsTakenApart(t *testing.T) {
	batch := func(indexes ...int) *encoded {
		b := &encoded{}
		for _, index := range indexes {
			b.text = append(b.text, 'x', '\n')
			b.rows = append(b.rows, row{index: index, end: len(b.text)})
		}
		return b
	}
	var c company
	host, first, second := batch(0, 2, 3), batch(1), batch(0, 5)
	for _, guest := range []*encoded{first, second} {
		c.wait(guest, &lonely{&obstacle{classRefused, "alone"}, make(chan struct{})})
	}
	j := c.join(host)
	if len(j.rows) != 6 || string(j.lines(2, 4)) != "x\nx\n" {
		t.Fatalf("%d rows", len(j.rows))
	}
	if _, left := c.leave(first); left {
		t.Error("a batch left that another has taken along")
	}
	why := reason.New(reason.StageSink, "P0001", "no")
	failed := func(nth int) sink.Failure { return sink.Failure{Index: j.rows[nth].index, Reason: why} }
	// Of the six rows two were refused, one was there, and one is missing.
	result, err := c.part(j, sink.Result{Committed: 2, Duplicates: 1, Failures: []sink.Failure{failed(3), failed(5)}, Again: true}, nil)
	if want := (sink.Result{Committed: 2, Again: true}); err != nil || !reflect.DeepEqual(result, want) {
		t.Errorf("host: %+v, want %+v", result, want)
	}
	for name, each := range map[string]struct {
		guest *encoded
		want  sink.Result
	}{
		"first":  {first, sink.Result{Failures: []sink.Failure{{Index: 1, Reason: why}}, Again: true}},
		"second": {second, sink.Result{Duplicates: 1, Failures: []sink.Failure{{Index: 5, Reason: why}}, Again: true}},
	} {
		result, left := c.leave(each.guest)
		if !left || !reflect.DeepEqual(*result, each.want) {
			t.Errorf("%s: %+v, want %+v", name, result, each.want)
		}
	}
}

func TestABatchTakesNoneAlongWhoseTextIsForOtherTypes(t *testing.T) {
	var c company
	host := &encoded{shapes: []shape{newShape(kindJSON, false, ',')}}
	guest := &encoded{shapes: []shape{newShape(kindOther, false, ',')}}
	c.wait(guest, &lonely{&obstacle{classRefused, "alone"}, make(chan struct{})})
	if j := c.join(host); len(j.guests) != 0 {
		t.Errorf("%d guests", len(j.guests))
	}
	if _, left := c.leave(guest); !left {
		t.Error("the other batch does not wait any more")
	}
}
