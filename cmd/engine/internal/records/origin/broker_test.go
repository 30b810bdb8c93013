package origin

import (
	"encoding/binary"
	"hash/crc32"
	"io"
	"maps"
	"net"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

const topic = "orders"

// broker speaks as much of Kafka's protocol as it takes to read one topic.
type broker struct {
	t        *testing.T
	listener net.Listener
	// node is its number, and peers are the others. The first one leads all partitions.
	node  int32
	peers []*broker

	mu    sync.Mutex
	conns map[net.Conn]bool
	asked map[kmsg.Key]int
	id    TopicID
	epoch int32
	// metadataVersion is the highest one that it knows.
	metadataVersion int16
	// logs are the values of each partition, from offset 0 on.
	logs [][]string
	// start is the first offset that is left.
	start int64
	// ms is the time of all records.
	ms int64
	// endCode and end are what it says of the end of a log, if it says another one than it has.
	endCode int16
	end     int64
	// throttled holds the records back once, because of a quota. Of a compacted log none are left. An unknown topic is gone.
	throttled, compacted, unknown bool
	// leaderless are partitions that nobody leads any more.
	leaderless map[int32]bool
}

func startBroker(t *testing.T, logs ...[]string) *broker {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b := &broker{
		t: t, listener: listener, node: 1, conns: map[net.Conn]bool{}, asked: map[kmsg.Key]int{}, id: TopicID{1}, metadataVersion: 12, logs: logs, ms: -1, end: -1,
	}
	t.Cleanup(func() {
		_ = listener.Close()
		b.restart()
	})
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			b.change(func() { b.conns[conn] = true })
			go b.serve(conn)
		}
	}()
	return b
}

func (b *broker) address() string { return b.listener.Addr().String() }

func (b *broker) change(what func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	what()
}

// restart closes all connections.
func (b *broker) restart() {
	b.change(func() {
		for conn := range b.conns {
			_ = conn.Close()
		}
		clear(b.conns)
	})
}

// counts returns how often each request came.
func (b *broker) counts() map[kmsg.Key]int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return maps.Clone(b.asked)
}

func (b *broker) serve(conn net.Conn) {
	for {
		var size [4]byte
		if _, err := io.ReadFull(conn, size[:]); err != nil {
			return
		}
		raw := make([]byte, binary.BigEndian.Uint32(size[:]))
		if _, err := io.ReadFull(conn, raw); err != nil {
			return
		}
		key, version, number := kmsg.Key(binary.BigEndian.Uint16(raw)), int16(binary.BigEndian.Uint16(raw[2:])), raw[4:8]
		request := kmsg.RequestForKey(key.Int16())
		request.SetVersion(version)
		body := raw[10+max(0, int16(binary.BigEndian.Uint16(raw[8:]))):]
		if request.IsFlexible() {
			body = body[1:]
		}
		if err := request.ReadFrom(body); err != nil {
			b.t.Errorf("%s: %v", key.Name(), err)
			return
		}
		response := b.answer(request)
		response.SetVersion(version)
		answer := append(make([]byte, 4), number...)
		if response.IsFlexible() && key != kmsg.ApiVersions {
			answer = append(answer, 0)
		}
		answer = response.AppendTo(answer)
		binary.BigEndian.PutUint32(answer, uint32(len(answer)-4))
		if _, err := conn.Write(answer); err != nil {
			return
		}
	}
}

func (b *broker) answer(request kmsg.Request) kmsg.Response {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.asked[kmsg.Key(request.Key())]++
	switch r := request.(type) {
	case *kmsg.ApiVersionsRequest:
		return b.versions()
	case *kmsg.MetadataRequest:
		return b.metadata()
	case *kmsg.FetchRequest:
		return b.fetch(r)
	case *kmsg.ListOffsetsRequest:
		return b.offsets(r)
	case *kmsg.OffsetForLeaderEpochRequest:
		return b.epochs(r)
	}
	b.t.Errorf("a request that nobody expects: %T", request)
	return request.ResponseKind()
}

func (b *broker) versions() kmsg.Response {
	response := kmsg.NewPtrApiVersionsResponse()
	for key, most := range map[kmsg.Key]int16{kmsg.Fetch: 12, kmsg.ListOffsets: 7, kmsg.Metadata: b.metadataVersion, kmsg.ApiVersions: 4, kmsg.OffsetForLeaderEpoch: 4} {
		one := kmsg.NewApiVersionsResponseApiKey()
		one.ApiKey, one.MaxVersion = key.Int16(), most
		response.ApiKeys = append(response.ApiKeys, one)
	}
	return response
}

func (b *broker) metadata() kmsg.Response {
	response := kmsg.NewPtrMetadataResponse()
	for _, each := range append([]*broker{b}, b.peers...) {
		host, port, _ := net.SplitHostPort(each.address())
		number, _ := strconv.Atoi(port)
		node := kmsg.NewMetadataResponseBroker()
		node.NodeID, node.Host, node.Port = each.node, host, int32(number)
		response.Brokers = append(response.Brokers, node)
	}
	one := kmsg.NewMetadataResponseTopic()
	one.Topic = kmsg.StringPtr(topic)
	if b.unknown {
		one.ErrorCode = kerr.UnknownTopicOrPartition.Code
	} else {
		one.TopicID = b.id
		for i := range b.logs {
			partition := kmsg.NewMetadataResponseTopicPartition()
			partition.Partition, partition.Leader, partition.LeaderEpoch = int32(i), 1, b.epoch
			partition.Replicas, partition.ISR = []int32{1}, []int32{1}
			if b.leaderless[int32(i)] {
				partition.Leader, partition.ErrorCode = -1, kerr.LeaderNotAvailable.Code
			}
			one.Partitions = append(one.Partitions, partition)
		}
	}
	response.Topics = append(response.Topics, one)
	return response
}

func (b *broker) fetch(request *kmsg.FetchRequest) kmsg.Response {
	response := kmsg.NewPtrFetchResponse()
	room := int(request.MaxBytes)
	waits := request.MaxWaitMillis > 0
	for _, asked := range request.Topics {
		answered := kmsg.NewFetchResponseTopic()
		answered.Topic, answered.TopicID = asked.Topic, asked.TopicID
		for _, p := range asked.Partitions {
			part := kmsg.NewFetchResponseTopicPartition()
			values := b.logs[p.Partition]
			part.Partition, part.HighWatermark = p.Partition, int64(len(values))
			switch {
			case p.FetchOffset > int64(len(values)) || p.FetchOffset < b.start:
				part.ErrorCode = kerr.OffsetOutOfRange.Code
			case p.FetchOffset < int64(len(values)) && !b.throttled && !b.compacted:
				records := recordsOf(p.FetchOffset, b.ms, values[p.FetchOffset:])
				// As in Kafka the first partition gets a batch, however large, and others what fits.
				if room < len(records) && room < int(request.MaxBytes) {
					records = records[:max(0, room)]
				}
				part.RecordBatches = records
				room -= len(records)
				waits = false
			}
			answered.Partitions = append(answered.Partitions, part)
		}
		response.Topics = append(response.Topics, answered)
	}
	if b.throttled {
		response.ThrottleMillis, b.throttled = 1, false
	}
	if waits {
		b.mu.Unlock()
		time.Sleep(time.Duration(request.MaxWaitMillis) * time.Millisecond)
		b.mu.Lock()
	}
	return response
}

func (b *broker) offsets(request *kmsg.ListOffsetsRequest) kmsg.Response {
	response := kmsg.NewPtrListOffsetsResponse()
	for _, asked := range request.Topics {
		answered := kmsg.NewListOffsetsResponseTopic()
		answered.Topic = asked.Topic
		for _, p := range asked.Partitions {
			part := kmsg.NewListOffsetsResponseTopicPartition()
			part.Partition, part.LeaderEpoch = p.Partition, b.epoch
			if part.Offset = b.start; p.Timestamp == ofTheEnd {
				part.ErrorCode, part.Offset = b.endCode, int64(len(b.logs[p.Partition]))
				if b.end >= 0 {
					part.Offset = b.end
				}
			}
			answered.Partitions = append(answered.Partitions, part)
		}
		response.Topics = append(response.Topics, answered)
	}
	return response
}

// epochs says that a log ends in the epoch that it is asked for.
func (b *broker) epochs(request *kmsg.OffsetForLeaderEpochRequest) kmsg.Response {
	response := kmsg.NewPtrOffsetForLeaderEpochResponse()
	for _, asked := range request.Topics {
		answered := kmsg.NewOffsetForLeaderEpochResponseTopic()
		answered.Topic = asked.Topic
		for _, p := range asked.Partitions {
			part := kmsg.NewOffsetForLeaderEpochResponseTopicPartition()
			part.Partition, part.LeaderEpoch, part.EndOffset = p.Partition, p.LeaderEpoch, int64(len(b.logs[p.Partition]))
			answered.Partitions = append(answered.Partitions, part)
		}
		response.Topics = append(response.Topics, answered)
	}
	return response
}

// recordsOf returns values as batches of one record.
func recordsOf(first, ms int64, values []string) []byte {
	var all []byte
	for i, value := range values {
		all = append(all, batchOf(first+int64(i), ms, kmsg.Record{Value: []byte(value)})...)
	}
	return all
}

// batchOf returns one batch as it is on the wire, with the time of its first record in milliseconds.
func batchOf(first, ms int64, records ...kmsg.Record) []byte {
	batch := kmsg.NewRecordBatch()
	batch.FirstOffset, batch.Magic, batch.FirstTimestamp, batch.ProducerID, batch.FirstSequence = first, 2, ms, -1, -1
	for i, r := range records {
		r.OffsetDelta = int32(i)
		r.Length = int32(len(r.AppendTo(nil)) - 1)
		batch.Records = r.AppendTo(batch.Records)
	}
	batch.NumRecords, batch.LastOffsetDelta = int32(len(records)), int32(len(records)-1)
	raw := batch.AppendTo(nil)
	batch.Length = int32(len(raw) - 12)
	batch.CRC = int32(crc32.Checksum(raw[21:], crc32.MakeTable(crc32.Castagnoli)))
	return slices.Clip(batch.AppendTo(nil))
}
