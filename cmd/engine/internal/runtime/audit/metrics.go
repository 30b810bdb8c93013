package audit

import (
	"strconv"

	"github.com/warpstreamlabs/bento/public/service"

	"ddpm/engine/internal/contract"
)

// metrics are the books as ddpm reads them, by topic and partition.
type metrics struct {
	read, documents, filtered, rows, duplicates, dead *service.MetricCounter
	first, openEnd, openRecords                       *service.MetricGauge
}

// Kinds of duplicates.
const (
	redelivered = contract.Redelivered
	unexpected  = contract.Unexpected
)

func newMetrics(m *service.Metrics) *metrics {
	return &metrics{
		read:        m.NewCounter(contract.AuditRead, "topic", "partition"),
		documents:   m.NewCounter(contract.AuditDocuments, "topic", "partition"),
		filtered:    m.NewCounter(contract.AuditFiltered, "topic", "partition"),
		rows:        m.NewCounter(contract.AuditRows, "topic", "partition"),
		duplicates:  m.NewCounter(contract.AuditDuplicates, "topic", "partition", "kind"),
		dead:        m.NewCounter(contract.AuditDead, "topic", "partition"),
		first:       m.NewGauge(contract.AuditFirst, "topic", "partition"),
		openEnd:     m.NewGauge(contract.AuditOpenEnd, "topic", "partition"),
		openRecords: m.NewGauge(contract.AuditOpenRecords, "topic", "partition"),
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
