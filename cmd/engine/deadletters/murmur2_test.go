package deadletters

import "testing"

// The values are those of Kafka's own test (UtilsTest.testMurmur2).
func TestKeysGoWhereJavaPutsThem(t *testing.T) {
	for key, want := range map[string]int32{
		"21": -973932308, "foobar": -790332482, "a-little-bit-long-string": -985981536,
		"a-little-bit-longer-string": -1486304829, "lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
	} {
		m := &murmur2{}
		_, _ = m.Write([]byte(key))
		if got := int32(m.Sum32()); got != want {
			t.Errorf("%q: %d, want %d", key, got, want)
		}
	}
}
