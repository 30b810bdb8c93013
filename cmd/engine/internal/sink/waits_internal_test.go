package sink

import (
	"testing"
	"time"

	"github.com/warpstreamlabs/bento/public/service"
)

func TestPausesGrowUpToTheLongest(t *testing.T) {
	p := pause{500 * time.Millisecond, 30 * time.Second}
	longest := 500 * time.Millisecond
	for range 20 {
		if d := p.next(); d < longest/2 || d > longest {
			t.Errorf("a pause of %s instead of %s", d, longest)
		}
		longest = min(2*longest, 30*time.Second)
	}
}

func TestWhatIsCountedAsWaitingIsCountedOff(t *testing.T) {
	all := newWaits(&Options{Waits: "%s %s", Resumes: "%s %s", Silence: time.Hour}, service.MockResources())
	first, second := &wait{all: all}, &wait{all: all}
	counted := func(what string, waiting, persons int) {
		t.Helper()
		if all.waiting["login"] != waiting || all.persons["login"] != persons {
			t.Errorf("%s: %d wait, %d of them for a person, want %d and %d", what, all.waiting["login"], all.persons["login"], waiting, persons)
		}
	}
	login := Verdict{Kind: Person, Class: "login"}
	first.because(login)
	first.because(login)
	second.because(login)
	counted("two", 2, 2)
	second.because(Verdict{Class: "login"})
	counted("one of them passes by itself", 2, 1)
	second.because(Verdict{Class: "timeout"})
	counted("one waits for something else", 1, 1)
	first.over()
	counted("one is over", 0, 0)
	second.abandon()
	if all.waiting["timeout"] != 0 {
		t.Error("what was abandoned is still counted")
	}
}
