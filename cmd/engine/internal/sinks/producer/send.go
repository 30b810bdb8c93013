package producer

import (
	"context"
	"errors"
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Send makes one attempt at all records. It returns nil if all of them are delivered; else what became of each, nil for
// those that were. A record that the topic refused (see Refused) was tried alone by then: a broker refuses a whole batch
// for one of its records.
//
// Of the records with the same key the last one in the topic is the last one here, as far as they were delivered.
func (p *Producer) Send(ctx context.Context, records []*kgo.Record) []error {
	client, err := p.together()
	if err != nil {
		return each(records, err)
	}
	errs := attempt(ctx, client, records)
	if places := where(errs, Refused); len(places) > 0 {
		p.apart(ctx, records, errs, places)
	}
	if len(where(errs, isError)) == 0 {
		return nil
	}
	p.explain(ctx, errs)
	return errs
}

func each(records []*kgo.Record, err error) []error { return slices.Repeat([]error{err}, len(records)) }

func isError(err error) bool { return err != nil }

// where returns the places of the errors that are such.
func where(errs []error, such func(error) bool) []int {
	var places []int
	for i, err := range errs {
		if such(err) {
			places = append(places, i)
		}
	}
	return places
}

// attempt gives up waiting when the context ends. What the client has not sent by then it does not send any more.
func attempt(ctx context.Context, client *kgo.Client, records []*kgo.Record) []error {
	ended := make(chan []error, 1)
	go func() {
		errs := make([]error, len(records))
		places := make(map[*kgo.Record]int, len(records))
		for i, r := range records {
			places[r] = i
		}
		for _, result := range client.ProduceSync(ctx, records...) {
			errs[places[result.Record]] = result.Err
		}
		ended <- errs
	}()
	select {
	case errs := <-ended:
		return errs
	case <-ctx.Done():
		return each(records, ctx.Err())
	}
}

// apart tries records that were refused in company by halves, down to those that are refused alone. It is one caller at
// a time: the client would put together what several send.
func (p *Producer) apart(ctx context.Context, records []*kgo.Record, errs []error, refused []int) {
	places := WithLaterOnes(records, refused)
	unknown := func(left []int, err error) {
		for _, place := range left {
			errs[place] = err
		}
	}
	select {
	case p.turn <- struct{}{}:
		defer func() { <-p.turn }()
	case <-ctx.Done():
		unknown(places, ctx.Err())
		return
	}
	client, err := p.alone()
	if err != nil {
		unknown(places, err)
		return
	}
	for rest := halves(places); len(rest) > 0; {
		next := rest[len(rest)-1]
		rest = rest[:len(rest)-1]
		some := at(records, next)
		found := attempt(ctx, client, some)
		for i, place := range next {
			errs[place] = found[i]
		}
		if again := where(found, Refused); len(again) > 0 && len(next) > 1 {
			rest = append(rest, halves(at(next, WithLaterOnes(some, again)))...)
		} else if other := slices.IndexFunc(found, func(err error) bool { return err != nil && !Refused(err) }); other >= 0 {
			// None of the others would fare better for now.
			unknown(slices.Concat(rest...), found[other])
			return
		}
	}
}

// halves returns the two halves of a list, the first one last; a list of one is not cut.
func halves(places []int) [][]int {
	if len(places) == 1 {
		return [][]int{places}
	}
	return [][]int{places[len(places)/2:], places[:len(places)/2]}
}

func at[T any](all []T, places []int) []T {
	some := make([]T, len(places))
	for i, place := range places {
		some[i] = all[place]
	}
	return some
}

// WithLaterOnes adds the records that come later and have a key of one of those at the places, which are in order: to be
// sent again in their order, so that the last one of a key stays the last.
func WithLaterOnes(records []*kgo.Record, places []int) []int {
	keys := map[string]bool{}
	var all []int
	for i, r := range records {
		if len(places) > 0 && places[0] == i {
			places = places[1:]
		} else if r.Key == nil || !keys[string(r.Key)] {
			continue
		}
		if r.Key != nil {
			keys[string(r.Key)] = true
		}
		all = append(all, i)
	}
	return all
}

// explain puts the reason in the place of errors that say no more than that it was tried often enough.
func (p *Producer) explain(ctx context.Context, errs []error) {
	if slices.ContainsFunc(errs, isUnknown) {
		p.forget(ctx)
	}
	vague := where(errs, func(err error) bool {
		return errors.Is(err, kgo.ErrRecordRetries) || errors.Is(err, kgo.ErrRecordTimeout)
	})
	if len(vague) == 0 {
		return
	}
	if why := p.Refresh(ctx); why != nil {
		for _, i := range vague {
			errs[i] = why
		}
	}
}

// forget has the clients ask for the topic as for one that they never saw: a topic that was made again has another id,
// by which they would not find it. A client that is asking for the topic at the moment does not forget it before it has
// an answer, so that this gives up waiting when the context ends.
func (p *Producer) forget(ctx context.Context) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		for _, client := range p.clients() {
			client.PurgeTopicsFromProducing(p.conf.Topic)
		}
	}()
	select {
	case <-done:
	case <-ctx.Done():
	}
}

func isUnknown(err error) bool {
	return errors.Is(err, kerr.UnknownTopicOrPartition) || errors.Is(err, kerr.UnknownTopicID)
}
