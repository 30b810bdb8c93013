package deadletters

import (
	"slices"
	"testing"
)

func places(from, to, step uint64) []uint64 {
	var list []uint64
	for at := from; at < to; at += step {
		list = append(list, at)
	}
	return list
}

func TestTheBreakerOpensWhenTheShareIsReachedAndStaysOpen(t *testing.T) {
	b := &breaker{limit: 500, window: 1000}
	if !b.admit(places(0, 499, 1)) {
		t.Error("open below the limit")
	}
	if b.admit([]uint64{999}) {
		t.Error("500 of 1000 records are dead and it is not open")
	}
	if b.admit([]uint64{1_000_000}) {
		t.Error("it closed by itself")
	}
}

func TestDeadRecordsFarApartDoNotOpenTheBreaker(t *testing.T) {
	b := &breaker{limit: 500, window: 1000}
	for batch := range uint64(200) {
		if !b.admit(places(batch*4000, batch*4000+4000, 3)) {
			t.Fatalf("open at batch %d with a third of the records dead", batch)
		}
	}
	if b.admit(places(800_000, 801_000, 1)) {
		t.Error("closed though all records are dead")
	}
}

func TestOneRecordCountsOnceHoweverManyLettersItHas(t *testing.T) {
	b := &breaker{limit: 2, window: 10}
	if !b.admit([]uint64{7, 7, 7}) || !b.admit([]uint64{7}) {
		t.Error("the documents of one record opened it")
	}
	if b.admit([]uint64{8}) {
		t.Error("a second record did not open it")
	}
}

func TestTheOrderOfBatchesDoesNotMatter(t *testing.T) {
	batches := [][]uint64{places(0, 300, 1), places(8000, 8400, 1), places(300, 500, 1)}
	slices.Reverse(batches)
	b := &breaker{limit: 500, window: 1000}
	if !b.admit(batches[0]) || !b.admit(batches[1]) {
		t.Error("open too early")
	}
	if b.admit(batches[2]) {
		t.Error("500 dead records in a row came in two batches, the later one first")
	}
}

func TestABreakerThatIsSwitchedOffAdmitsEverything(t *testing.T) {
	var none *breaker
	if !none.admit(places(0, 10_000, 1)) {
		t.Error("it is switched off")
	}
}

func TestTheBreakerForgetsWhatIsLongPast(t *testing.T) {
	b := &breaker{limit: 1000, window: 1000}
	for batch := range uint64(1000) {
		b.admit(places(batch*1000, batch*1000+1000, 2))
	}
	if len(b.dead) > reach {
		t.Errorf("it remembers %d records", len(b.dead))
	}
}
