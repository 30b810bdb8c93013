package origin

import (
	"encoding/json"
	"fmt"
	"os"
)

// fork says that a partition's log is another one from an offset on, whose records have a number of their own.
type fork struct {
	first  int64
	number int64
}

// forks are those of each topic by partition, the latest last; nil where there are none.
type forks map[string]map[int][]fork

// forksFrom reads them: by topic and partition, lists of an offset and a number.
func forksFrom(variable string) (forks, error) {
	text := os.Getenv(variable)
	if text == "" {
		return nil, nil
	}
	var given map[string]map[int][][2]int64
	if err := json.Unmarshal([]byte(text), &given); err != nil {
		return nil, fmt.Errorf("the environment variable %q must hold a JSON object of forks: %w", variable, err)
	}
	found := forks{}
	for topic, partitions := range given {
		found[topic] = map[int][]fork{}
		for partition, all := range partitions {
			for _, one := range all {
				found[topic][partition] = append(found[topic][partition], fork{one[0], one[1]})
			}
		}
	}
	return found, nil
}

// source returns the number of a record; nil for the one that its topic has.
func (f forks) source(o *Origin) *int64 {
	all := f[o.Topic][o.Partition]
	for i := len(all) - 1; i >= 0; i-- {
		if all[i].first <= o.Offset {
			return &all[i].number
		}
	}
	return nil
}
