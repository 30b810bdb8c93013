package origin_test

import (
	"context"
	"testing"

	"github.com/warpstreamlabs/bento/public/service"

	"ddpm/engine/origin"
)

func TestARecordThatIsFedAgainIsTheOneThatWasConsumed(t *testing.T) {
	line := `{"topic":"orders","partition":2,"offset":7,"timestamp_ms":1700000000123,"key":"awA=","value":"/wA=",` +
		`"headers":[{"name":"h","value":"YQ=="},{"name":"h","value":"Yg=="},{"name":"kafka_offset","value":"OQ=="}],` +
		`"source":5,"attempt":2}`
	o := fedAgain(t, line)
	if o.Topic != "orders" || o.Partition != 2 || o.Offset != 7 || o.TimestampMS != 1700000000123 || !o.HasTimestamp {
		t.Errorf("another place or time: %+v", o)
	}
	if o.Key != "k\x00" || string(o.Value) != "\xff\x00" || o.Null || o.Source != 5 || !o.HasSource || o.Attempt != 2 {
		t.Errorf("another record: %+v", o)
	}
	if len(o.Headers) != 1 || o.Headers[0].Name != "h" || len(o.Headers[0].Values) != 2 {
		t.Errorf("other headers: %+v", o.Headers)
	}
}

func TestATombstoneIsNoEmptyRecord(t *testing.T) {
	for value, null := range map[string]bool{"null": true, `""`: false} {
		if o := fedAgain(t, `{"topic":"t","partition":0,"offset":1,"value":`+value+`}`); o.Null != null || o.HasTimestamp {
			t.Errorf("%s: %+v", value, o)
		}
	}
}

func fedAgain(t *testing.T, line string) *origin.Origin {
	t.Helper()
	var got *origin.Origin
	stream := service.NewStreamBuilder()
	if err := stream.SetLoggerYAML("level: OFF"); err != nil {
		t.Fatal(err)
	}
	if err := stream.AddProcessorYAML("ddpm_again: {}"); err != nil {
		t.Fatal(err)
	}
	send, err := stream.AddProducerFunc()
	if err != nil {
		t.Fatal(err)
	}
	err = stream.AddConsumerFunc(func(_ context.Context, msg *service.Message) error {
		got, _ = origin.From(msg)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	built, err := stream.Build()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() { _ = built.Run(ctx) }()
	if err := send(ctx, service.NewMessage([]byte(line))); err != nil {
		t.Fatal(err)
	}
	if got == nil {
		t.Fatal("no origin")
	}
	return got
}
