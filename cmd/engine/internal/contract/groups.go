package contract

import (
	"reflect"
	"slices"
)

var topicClasses = []string{TopicMissing, TopicRights, TopicReplicas, TopicConnection, TopicTimeout}

func groups() []group {
	return []group{
		{"Env", "Environment variables that ddpm sets for an engine; VALUE and SINK_SECURITY are the beginnings of many.", []named{
			{"POSTGRES_DSN", EnvPostgresDSN}, {"SOURCES", EnvSources}, {"CONFIG_HASH", EnvConfigHash}, {"TOPIC_IDS", EnvTopicIDs},
			{"FORKS", EnvForks}, {"MARKS", EnvMarks}, {"STEPS", EnvSteps}, {"CLIENT_ID", EnvClientID}, {"COMMIT", EnvCommit},
			{"KAFKA_SECURITY", EnvKafkaSecurity}, {"SINK_SECURITY", EnvSinkSecurity},
			{"SCHEMA_REGISTRY", EnvSchemaRegistry}, {"REGISTRY_TOKEN", EnvRegistryToken}, {"PYTHON", EnvPython}, {"VALUE", EnvValue}, {"HIDDEN", EnvHidden},
			{"ENGINE_PORT", EnvEnginePort}, {"PROFILE_FOLDER", EnvProfileFolder}, {"LIFELINE_FD", EnvLifelineFD},
			{"LIFELINE_GRACE", EnvLifelineGrace}, {"HANDOVER_FD", EnvHandoverFD}, {"CHECK_MAPPINGS", EnvCheckMappings},
		}},
		{"Header", "Headers of a dead letter.", []named{
			{"TOPIC", HeaderTopic}, {"PARTITION", HeaderPartition}, {"OFFSET", HeaderOffset}, {"PIPELINE", HeaderPipeline},
			{"STAGE", HeaderStage}, {"CODE", HeaderCode}, {"MESSAGE", HeaderMessage}, {"SQLSTATE", HeaderSQLState},
			{"COLUMN", HeaderColumn}, {"TIMESTAMP", HeaderTimestamp}, {"NULL", HeaderNull}, {"INDEX", HeaderIndex},
			{"FAILED_AT", HeaderFailedAt}, {"CONFIG_HASH", HeaderConfigHash}, {"SOURCE", HeaderSource}, {"ATTEMPT", HeaderAttempt},
			{"SINK", HeaderSink},
			{"HEADERS", HeaderHeaders}, {"HEADERS_CUT", HeaderCut},
		}},
		{"Prefix", "What stands before a name that would mean something else.", []named{{"DISPLACED", Displaced}}},
		{"Commit", "What ddpm and its engines commit beside an offset.", []named{{"OWN", CommitOwn}}},
		words("PostgresWait", "What the Postgres sink waits for.", PostgresConnection, PostgresTimeout, PostgresShutdown, PostgresLogin, PostgresTLS,
			PostgresResources, PostgresLock, PostgresContention, PostgresReadOnly, PostgresStandby, PostgresRights, PostgresMissing, PostgresColumns,
			PostgresPartition, PostgresIdentity, PostgresTrigger, PostgresRefused, PostgresUnknownSource, PostgresIncarnation,
			PostgresSource, PostgresNoOrigin, PostgresOther),
		words("TopicWait", "What records for a topic wait for.", topicClasses...),
		words("LetterWait", "What dead letters wait for.", slices.Concat(topicClasses, []string{LetterTooLarge, LetterRefused, LetterBreaker})...),
		words("ParserWait", "What a parser waits for.", ParserRegistry, ParserPlugin, ParserRecord),
		{"Metric", "Metrics of the engine's components that are ddpm's own.", slices.Concat(
			sinkMetrics("POSTGRES", Postgres), sinkMetrics("KAFKA", KafkaOut),
			[]named{
				{"NEVER_FOUND", NeverFound}, {"LETTERS_WAITING", DeadLetters + Waiting}, {"LETTERS_HELD", LettersHeld},
				{"PARSER_WAITING", Parser + Waiting}, {"RECEIVED", RecordsReceived}, {"BEHIND", RecordsBehind},
				{"FEED_ACKNOWLEDGED", FeedAcknowledged}, {"AUDIT_READ", AuditRead}, {"AUDIT_DOCUMENTS", AuditDocuments},
				{"AUDIT_FILTERED", AuditFiltered}, {"AUDIT_ROWS", AuditRows}, {"AUDIT_DUPLICATES", AuditDuplicates},
				{"AUDIT_DEAD", AuditDead}, {"AUDIT_FIRST", AuditFirst}, {"AUDIT_OPEN_END", AuditOpenEnd},
				{"AUDIT_OPEN_RECORDS", AuditOpenRecords},
			})},
		words("DuplicateKind", "Kinds of duplicates that the audit distinguishes.", Redelivered, Unexpected),
		words("FedField", "Keys of a record that an engine is fed.", keys(FedRecord{})...),
		words("FedHeaderField", "Keys of a header of such a record.", keys(FedHeader{})...),
		words("SecurityField", "Keys of how brokers are spoken to.", keys(Security{})...),
		words("TlsField", "Keys of its TLS.", keys(SecurityTLS{})...),
		words("SaslField", "Keys of its SASL.", keys(SecuritySASL{})...),
		words("OAuthField", "Keys of where a token comes from.", keys(SecurityOAuth{})...),
	}
}

// keys are those that a struct has in JSON.
func keys(of any) []string {
	var found []string
	for _, field := range reflect.VisibleFields(reflect.TypeOf(of)) {
		found = append(found, field.Tag.Get("json"))
	}
	return found
}
