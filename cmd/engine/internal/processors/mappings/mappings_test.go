package mappings

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	_ "github.com/warpstreamlabs/bento/public/components/io"
	_ "github.com/warpstreamlabs/bento/public/components/pure"
)

func ask(t *testing.T, texts ...string) []*problem {
	t.Helper()
	question, err := json.Marshal(texts)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := Check(bytes.NewReader(question), &out); err != nil {
		t.Fatal(err)
	}
	var found []*problem
	if err := json.Unmarshal(out.Bytes(), &found); err != nil {
		t.Fatal(err)
	}
	return found
}

func TestEachMappingHasItsProblemOrNone(t *testing.T) {
	found := ask(t, "root = this", "# ä\nroot.a = 1\nroot.b = this.c = 2", "root = this.uper()", `root = file("nope.json")`)
	if found[0] != nil {
		t.Errorf("a good mapping has the problem %v", found[0])
	}
	// Characters, not bytes: ä is one.
	if found[1] == nil || found[1].Index != strings.Index("# a\nroot.a = 1\nroot.b = this.c = 2", "= 2") {
		t.Errorf("the place of an assignment in a query is %v", found[1])
	}
	if found[2] == nil || !strings.Contains(strings.Join(found[2].Methods, " "), "uppercase") {
		t.Errorf("an unknown method comes with %v", found[2])
	}
	if found[3] == nil || !strings.Contains(found[3].Message, "nope.json") {
		t.Errorf("a file that is missing is %v", found[3])
	}
}
