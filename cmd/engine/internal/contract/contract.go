// Package contract holds the names that ddpm and its engine have in common. The engine prints them when it is called with
// the one argument `contract`, and `make generate` writes src/ddpm/contract.py from that: no other file of either language
// spells them.
package contract

import (
	"encoding/json"
	"io"
	"strings"
)

// Environment variables that ddpm sets for an engine.
const (
	EnvPostgresDSN    = "DDPM_POSTGRES_DSN"
	EnvSources        = "DDPM_SOURCES"
	EnvConfigHash     = "DDPM_CONFIG_HASH"
	EnvTopicIDs       = "DDPM_TOPIC_IDS"
	EnvForks          = "DDPM_FORKS"
	EnvMarks          = "DDPM_MARKS"
	EnvSteps          = "DDPM_STEPS"
	EnvClientID       = "DDPM_CLIENT_ID"
	EnvCommit         = "DDPM_COMMIT"
	EnvKafkaSecurity  = "DDPM_KAFKA_SECURITY"
	EnvSinkSecurity   = "DDPM_KAFKA_SINK_SECURITY_"
	EnvSchemaRegistry = "DDPM_SCHEMA_REGISTRY"
	EnvRegistryToken  = "DDPM_SCHEMA_REGISTRY_TOKEN"
	EnvPython         = "DDPM_PYTHON"
	EnvValue          = "DDPM_VALUE_"
	EnvHidden         = "DDPM_HIDDEN"
	EnvEnginePort     = "DDPM_ENGINE_PORT"
	EnvProfileFolder  = "DDPM_PROFILE_FOLDER"
	EnvLifelineFD     = "DDPM_LIFELINE_FD"
	EnvLifelineGrace  = "DDPM_LIFELINE_GRACE"
	EnvHandoverFD     = "DDPM_HANDOVER_FD"
	EnvCheckMappings  = "DDPM_CHECK_MAPPINGS"
)

// Headers of a dead letter, after Kafka Connect's convention where it has one.
const (
	HeaderTopic      = "__connect.errors.topic"
	HeaderPartition  = "__connect.errors.partition"
	HeaderOffset     = "__connect.errors.offset"
	HeaderPipeline   = "__connect.errors.connector.name"
	HeaderStage      = "__connect.errors.stage"
	HeaderCode       = "__connect.errors.exception.class.name"
	HeaderMessage    = "__connect.errors.exception.message"
	HeaderSQLState   = "ddpm.errors.sqlstate"
	HeaderColumn     = "ddpm.errors.column"
	HeaderTimestamp  = "ddpm.errors.timestamp_ms"
	HeaderNull       = "ddpm.errors.null_value"
	HeaderIndex      = "ddpm.errors.index"
	HeaderFailedAt   = "ddpm.errors.failed_at_ms"
	HeaderConfigHash = "ddpm.errors.config_hash"
	HeaderSource     = "ddpm.errors.source"
	HeaderAttempt    = "ddpm.errors.attempt"
	// HeaderSink names the sink that did not get the record; without it, none of the pipeline's sinks got it.
	HeaderSink = "ddpm.errors.sink"

	// HeaderHeaders holds the record's own headers as JSON ([[name, base64 of the value], …]). It is there only when headers
	// of the dead letter cannot stand for them one by one: a name that occurs more than once, or one that had to be changed.
	HeaderHeaders = "ddpm.errors.headers"
	// HeaderCut is there only when headers of the record are missing or cut, because the letter would have fitted nowhere
	// with them: a JSON list of their names.
	HeaderCut = "ddpm.errors.headers_cut"

	// Displaced is put before the name of a record's own header that is one of these.
	Displaced = "original."
)

// CommitOwn is the metadata of offsets that ddpm and its engines commit, or the beginning of it: by it they know their own
// consumer groups. What an engine commits stands in EnvCommit.
const CommitOwn = "ddpm"

// Classes of what the Postgres sink waits for, as the label `reason` of its metric.
const (
	PostgresConnection    = "connection"
	PostgresTimeout       = "timeout"
	PostgresShutdown      = "shutdown"
	PostgresLogin         = "login"
	PostgresTLS           = "tls"
	PostgresResources     = "resources"
	PostgresLock          = "lock"
	PostgresContention    = "contention"
	PostgresReadOnly      = "read_only"
	PostgresStandby       = "standby"
	PostgresRights        = "rights"
	PostgresMissing       = "missing"
	PostgresColumns       = "columns"
	PostgresPartition     = "partition"
	PostgresIdentity      = "identity_key"
	PostgresTrigger       = "trigger"
	PostgresRefused       = "refused"
	PostgresUnknownSource = "unknown_source"
	PostgresIncarnation   = "incarnation"
	PostgresSource        = "source"
	PostgresNoOrigin      = "no_origin"
	PostgresOther         = "other"
)

// Classes of what records for a topic wait for.
const (
	TopicMissing    = "topic"
	TopicRights     = "rights"
	TopicReplicas   = "replicas"
	TopicConnection = "connection"
	TopicTimeout    = "timeout"
)

// Classes of what dead letters wait for, besides those of every topic.
const (
	LetterTooLarge = "too_large"
	LetterRefused  = "refused"
	LetterBreaker  = "breaker"
)

// Classes of what a parser waits for.
const (
	// ParserRegistry is a schema registry that is away.
	ParserRegistry = "schema_registry"
	// ParserPlugin is a plugin that cannot be loaded.
	ParserPlugin = "plugin"
	// ParserRecord is a record that ends or holds up its plugin, until it is given up.
	ParserRecord = "record"
)

// What the names of a sink's metrics end with, behind its prefix.
const (
	Waiting    = "_waiting"
	WaitingWhy = "_waiting_why"
	Committed  = "_rows_committed"
	Duplicates = "_duplicates_skipped"
	Failed     = "_rows_failed"
	Seconds    = "_write_seconds"
)

// Metrics of ddpm's own components.
const (
	Postgres    = "postgres_copy"
	KafkaOut    = "kafka_out"
	DeadLetters = "dead_letter"
	Parser      = "parser"

	NeverFound       = Postgres + "_column_never_found"
	LettersHeld      = DeadLetters + "_held"
	RecordsReceived  = "kafka_records_received"
	RecordsBehind    = "kafka_records_behind"
	FeedAcknowledged = "ddpm_feed_acknowledged"

	AuditRead        = "audit_records_read"
	AuditDocuments   = "audit_documents"
	AuditFiltered    = "audit_documents_filtered"
	AuditRows        = "audit_rows"
	AuditDuplicates  = "audit_duplicates"
	AuditDead        = "audit_dead_letters"
	AuditFirst       = "audit_first_offset"
	AuditOpenEnd     = "audit_open_end"
	AuditOpenRecords = "audit_open_records"
)

// Kinds of duplicates that the audit distinguishes, as the label `kind`.
const (
	Redelivered = "redelivered"
	Unexpected  = "unexpected"
)

// FedRecord is a line of the input ddpm_feed: a Kafka record with the place that it came from. Bytes are base64, or null.
type FedRecord struct {
	Topic     string `json:"topic"`
	Partition int    `json:"partition"`
	Offset    int64  `json:"offset"`
	// TimestampMS is null for none.
	TimestampMS *int64      `json:"timestamp_ms"`
	Key         []byte      `json:"key"`
	Value       []byte      `json:"value"`
	Headers     []FedHeader `json:"headers"`
	// Source is the number of the topic's incarnation where that is not the present one.
	Source *int64 `json:"source"`
	// Attempt is above 1 for a record that was dead before.
	Attempt int `json:"attempt"`
}

// FedHeader is a header of a FedRecord.
type FedHeader struct {
	Name  string `json:"name"`
	Value []byte `json:"value"`
}

// Asked reports whether arguments of the command ask for the contract.
func Asked(arguments []string) bool { return len(arguments) == 1 && arguments[0] == "contract" }

// group is a class of Python with constants.
type group struct {
	Name string  `json:"name"`
	Doc  string  `json:"doc"`
	All  []named `json:"all"`
}

type named struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Print writes the contract as JSON.
func Print(to io.Writer) error {
	out := json.NewEncoder(to)
	out.SetIndent("", "  ")
	return out.Encode(groups())
}

// words is a group whose constants are called like their values.
func words(name, doc string, values ...string) group {
	g := group{Name: name, Doc: doc}
	for _, value := range values {
		g.All = append(g.All, named{strings.ToUpper(value), value})
	}
	return g
}

// sinkMetrics are the metrics of a sink by the names that their constants begin with.
func sinkMetrics(constant, prefix string) []named {
	return []named{
		{constant + "_WAITING", prefix + Waiting}, {constant + "_WAITING_WHY", prefix + WaitingWhy},
		{constant + "_COMMITTED", prefix + Committed}, {constant + "_DUPLICATES", prefix + Duplicates},
		{constant + "_FAILED", prefix + Failed}, {constant + "_SECONDS", prefix + Seconds},
	}
}

// Security is how brokers are spoken to: what a variable holds that the field security_env of a component names. What is
// not there is plain text, and a client without a name.
type Security struct {
	TLS  *SecurityTLS  `json:"tls"`
	SASL *SecuritySASL `json:"sasl"`
}

// SecurityTLS has paths of PEM files, each empty for none.
type SecurityTLS struct {
	CA          string `json:"ca"`
	Cert        string `json:"cert"`
	Key         string `json:"key"`
	KeyPassword string `json:"key_password"`
	// ServerName is what certificates are compared with; empty for the host of each broker.
	ServerName string `json:"server_name"`
	Verify     bool   `json:"verify"`
}

// SecuritySASL is who a client is to the brokers.
type SecuritySASL struct {
	Mechanism string         `json:"mechanism"`
	Username  string         `json:"username"`
	Password  string         `json:"password"`
	OAuth     *SecurityOAuth `json:"oauth"`
}

// SecurityOAuth is where a token for the brokers comes from.
type SecurityOAuth struct {
	TokenURL     string   `json:"token_url"`
	ClientID     string   `json:"client_id"`
	ClientSecret string   `json:"client_secret"`
	Scopes       []string `json:"scopes"`
}
