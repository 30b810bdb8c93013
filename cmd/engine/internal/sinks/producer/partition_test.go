package producer

import (
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// The values are those of Kafka's own test (UtilsTest.testMurmur2); of their bits a partition is what is left without the
// sign, so that a topic of 2^31 partitions would show all of them.
func TestKeysGoWhereJavaPutsThem(t *testing.T) {
	client, err := kgo.NewClient(New(Config{Addresses: []string{"127.0.0.1:1"}, Topic: "t", Timeout: time.Second}).options(batchBytes)...)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	partitioner := client.OptValue(kgo.RecordPartitioner).(kgo.Partitioner).ForTopic("t")
	for key, want := range map[string]int32{
		"21": -973932308, "foobar": -790332482, "a-little-bit-long-string": -985981536,
		"a-little-bit-longer-string": -1486304829, "lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
	} {
		if got := partitioner.Partition(&kgo.Record{Key: []byte(key)}, 1<<31); got != int(uint32(want)&0x7fffffff) {
			t.Errorf("%q: %d, want %d", key, got, uint32(want)&0x7fffffff)
		}
	}
}
