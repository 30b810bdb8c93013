package audit

import (
	"strconv"

	"github.com/warpstreamlabs/bento/public/service"
)

// metrics are the books as ddpm reads them, by topic and partition.
type metrics struct {
	read, documents, filtered, rows, duplicates, dead *service.MetricCounter
	first, openEnd, openRecords                       *service.MetricGauge
}

// Kinds of duplicates.
const (
	redelivered = "redelivered"
	unexpected  = "unexpected"
)

func newMetrics(m *service.Metrics) *metrics {
	return &metrics{
		read:        m.NewCounter("audit_records_read", "topic", "partition"),
		documents:   m.NewCounter("audit_documents", "topic", "partition"),
		filtered:    m.NewCounter("audit_documents_filtered", "topic", "partition"),
		rows:        m.NewCounter("audit_rows", "topic", "partition"),
		duplicates:  m.NewCounter("audit_duplicates", "topic", "partition", "kind"),
		dead:        m.NewCounter("audit_dead_letters", "topic", "partition"),
		first:       m.NewGauge("audit_first_offset", "topic", "partition"),
		openEnd:     m.NewGauge("audit_open_end", "topic", "partition"),
		openRecords: m.NewGauge("audit_open_records", "topic", "partition"),
	}
}

// counts are a partition's counters at one time.
type counts struct{ read, documents, filtered, rows, redelivered, unexpected, dead int64 }

func (p *Partition) counts() counts {
	return counts{
		p.read.Load(), p.documents.Load(), p.filtered,
		p.rows.Load(), p.redelivered.Load(), p.unexpected.Load(), p.dead.Load(),
	}
}

// publish brings the metrics up to date.
func (p *Partition) publish(m *metrics, open Open) {
	number := strconv.Itoa(p.number)
	p.mu.Lock()
	defer p.mu.Unlock()
	c, before := p.counts(), p.posted
	p.posted = c
	m.read.Incr(c.read-before.read, p.topic, number)
	m.documents.Incr(c.documents-before.documents, p.topic, number)
	m.filtered.Incr(c.filtered-before.filtered, p.topic, number)
	m.rows.Incr(c.rows-before.rows, p.topic, number)
	m.duplicates.Incr(c.redelivered-before.redelivered, p.topic, number, redelivered)
	m.duplicates.Incr(c.unexpected-before.unexpected, p.topic, number, unexpected)
	m.dead.Incr(c.dead-before.dead, p.topic, number)
	m.first.Set(p.first, p.topic, number)
	m.openEnd.Set(open.End, p.topic, number)
	m.openRecords.Set(open.Records, p.topic, number)
}
