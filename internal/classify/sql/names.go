package sql

import (
	"strconv"
	"strings"

	"github.com/assenthq/assent/action"
)

func itoa(n int32) string { return strconv.Itoa(int(n)) }

func onOff(b bool) string {
	if b {
		return "on"
	}
	return "off"
}

// words makes a set of the words of each text.
func words(texts ...string) map[string]bool {
	set := make(map[string]bool)
	for _, t := range texts {
		for _, w := range strings.Fields(t) {
			set[w] = true
		}
	}
	return set
}

// valueNodes are nodes under which a literal is a value and nothing else.
var valueNodes = words(`A_ArrayExpr A_Const A_Expr A_Indices A_Star Alias Boolean BooleanTest BoolExpr CaseExpr
	CaseWhen CoalesceExpr Integer Float String BitString List MinMaxExpr NullTest ParamRef ResTarget RowExpr SubLink
	TypeCast SQLValueFunction SetToDefault JoinExpr MultiAssignRef`)

// definitionNodes are the other nodes that a parse tree may hold below a statement.
var definitionNodes = words(`AccessPriv AlterTableCmd CollateClause ColumnDef CommonTableExpr Constraint CreateOpClassItem CTECycleClause
	CTESearchClause CurrentOfExpr DefElem FunctionParameter GroupingFunc GroupingSet IndexElem InferClause IntoClause
	JsonAggConstructor JsonArgument JsonArrayAgg JsonArrayConstructor JsonArrayQueryConstructor JsonBehavior JsonFormat
	JsonFuncExpr JsonIsPredicate JsonKeyValue JsonObjectAgg JsonObjectConstructor JsonOutput JsonParseExpr JsonReturning
	JsonScalarExpr JsonSerializeExpr JsonTableColumn JsonTablePathSpec JsonValueExpr LockingClause MergeSupportFunc
	NamedArgExpr ObjectWithArgs PartitionBoundSpec PartitionCmd PartitionElem PartitionRangeDatum PartitionSpec
	PublicationObjSpec PublicationTable RangeTableFuncCol ReplicaIdentityStmt ReturnStmt RoleSpec SinglePartitionSpec SortBy
	StatsElem TableLikeClause TriggerTransition VacuumRelation WindowDef XmlExpr XmlSerialize`)

// types of pg_catalog. A cast to any other may run a function somebody wrote.
var types = words(`aclitem any anyarray anyelement bit bool box bpchar bytea char cid cidr circle cstring date datemultirange
	daterange float4 float8 inet int2 int2vector int4 int4multirange int4range int8 int8multirange int8range interval json
	jsonb jsonpath line lseg macaddr macaddr8 money name numeric nummultirange numrange oid oidvector path pg_lsn
	pg_node_tree pg_snapshot point polygon record refcursor regclass regcollation regconfig regdictionary regnamespace
	regoper regoperator regproc regprocedure regrole regtype text tid time timestamp timestamptz timetz tsmultirange tsquery
	tsrange tstzmultirange tstzrange tsvector txid_snapshot unknown uuid varbit varchar void xid xid8 xml trigger event_trigger`)

// operators of pg_catalog.
var operators = words(`!! !~ !~* !~~ !~~* # ## #- #> #>> % & && &< &<| &> * *< *<= *<> *= *> *>= + - -> ->> -|- / < <-> << <<=
	<<| <= <> <@ <^ = > >= >> >>= >^ ? ?# ?& ?- ?-| ?| ?|| @ @-@ @> @? @@ @@@ ^ ^@ | |&> |/ |>> || ||/ ~ ~* ~<=~ ~<~ ~= ~>=~
	~>~ ~~ ~~* !=`)

// totalFunctions give one value whatever text they are given, and never fail.
var totalFunctions = words(`ascii bit_length btrim char_length character_length concat concat_ws initcap left length lower ltrim
	md5 octet_length quote_ident quote_literal quote_nullable replace reverse right rtrim starts_with strpos to_json to_jsonb translate
	upper row_to_json json_build_array jsonb_build_array pg_typeof hashtext array_agg count json_agg jsonb_agg max min string_agg
	any_value first_value last_value lag lead`)

// totalOperators and totalTypes are the same for operators and casts.
var (
	totalOperators = words(`|| -> ->> #> #>>`)
	totalTypes     = words(`text varchar bpchar name`)
)

// fieldNames are columns of records that built-in functions return.
var fieldNames = words(`key value n x lexeme positions weights alias token tokid word nentry ndoc grantor grantee privilege_type is_grantable`)

// rowFunctions can be called on a whole row as if they were a column: c.to_json.
var rowFunctions = words(`to_json to_jsonb row_to_json json_agg jsonb_agg json_agg_strict jsonb_agg_strict array_agg concat
	quote_literal quote_nullable quote_ident json_build_array jsonb_build_array record_out record_send any_value
	hash_record hash_record_extended format_row`)

// secretRelations hold credentials, or samples of everybody's data.
var secretRelations = map[string]string{
	"pg_authid":                    "holds password hashes",
	"pg_shadow":                    "holds password hashes",
	"pg_user_mapping":              "holds passwords of foreign servers",
	"pg_user_mappings":             "holds passwords of foreign servers",
	"_pg_user_mappings":            "holds passwords of foreign servers",
	"user_mapping_options":         "holds passwords of foreign servers",
	"foreign_data_wrapper_options": "holds what connections elsewhere are made with",
	"foreign_server_options":       "holds what connections elsewhere are made with",
	"foreign_table_options":        "holds what connections elsewhere are made with",
	"pg_subscription":              "holds connection strings",
	"pg_hba_file_rules":            "tells who gets in how",
	"pg_ident_file_mappings":       "tells who gets in as whom",
	"pg_file_settings":             "holds the server's configuration files",
	"pg_stats":                     "holds sample values of every column",
	"pg_statistic":                 "holds sample values of every column",
	"pg_stats_ext":                 "holds sample values of columns",
	"pg_stats_ext_exprs":           "holds sample values of columns",
	"pg_statistic_ext_data":        "holds sample values of columns",
	"pg_largeobject":               "holds the content of all large objects",
	"pg_replication_origin":        "belongs to replication",
	"pg_backend_memory_contexts":   "shows memory of the server",
}

// effect is what a function does, and why that matters.
type effect struct {
	why   string
	kinds []action.Kind
}

// harmful are built-in and well-known extension functions that do more than compute.
var harmful = effects(map[string][]action.Kind{
	"reads files of the server | pg_read_file pg_read_file_old pg_read_binary_file pg_stat_file pg_hba_file_rules " +
		"pg_ident_file_mappings pg_show_all_file_settings pg_file_read": {action.SecretAccess, action.Execute},
	"lists files of the server | pg_ls_dir pg_ls_logdir pg_ls_waldir pg_ls_tmpdir pg_ls_archive_statusdir pg_ls_logicalmapdir " +
		"pg_ls_logicalsnapdir pg_ls_replslotdir pg_logdir_ls pg_ls_summariesdir": {action.SecretAccess, action.Execute},
	"writes files of the server | pg_file_write pg_file_unlink pg_file_rename pg_file_sync lo_export":  {action.DataExport, action.Execute},
	"stores a file of the server in the database | lo_import":                                          {action.SecretAccess, action.DataWrite, action.Execute},
	"reads large objects, which have no class | lo_get loread lo_open":                                 {action.DataRead, action.Unknown},
	"writes large objects | lo_creat lo_create lo_from_bytea lo_put lowrite lo_truncate lo_truncate64": {action.DataWrite},
	"deletes large objects | lo_unlink":                                                                {action.DataDelete},
	"connects elsewhere | dblink dblink_connect dblink_connect_u dblink_exec dblink_open dblink_fetch dblink_send_query " +
		"dblink_get_result dblink_close dblink_disconnect dblink_cancel_query dblink_get_notify dblink_is_busy http http_get http_post " +
		"http_put http_delete http_patch http_head postgres_fdw_get_connections postgres_fdw_disconnect": {action.NetFetch, action.Execute, action.Unknown},
	"runs text as a query | query_to_xml query_to_xmlschema query_to_xml_and_xmlschema cursor_to_xml cursor_to_xmlschema ts_stat " +
		"ts_rewrite crosstab crosstab2 crosstab3 crosstab4 crosstabN connectby xpath_table": {action.DataRead, action.Execute, action.Unknown},
	"puts whole tables into one value | table_to_xml table_to_xml_and_xmlschema schema_to_xml schema_to_xml_and_xmlschema " +
		"database_to_xml database_to_xml_and_xmlschema table_to_xmlschema schema_to_xmlschema database_to_xmlschema": {action.DataRead, action.DataExport, action.Unknown},
	"changes a setting | set_config": {action.ConfigChange},
	"controls the server | pg_reload_conf pg_rotate_logfile pg_rotate_logfile_old pg_logfile_rotate pg_promote pg_wal_replay_pause " +
		"pg_wal_replay_resume pg_switch_wal pg_create_restore_point pg_backup_start pg_backup_stop pg_start_backup pg_stop_backup " +
		"pg_stat_reset pg_stat_reset_shared pg_stat_reset_single_table_counters pg_stat_reset_single_function_counters pg_stat_reset_slru " +
		"pg_stat_reset_replication_slot pg_stat_reset_subscription_stats pg_stat_statements_reset pg_log_backend_memory_contexts " +
		"pg_import_system_collations pg_stat_force_next_flush": {action.ConfigChange, action.Execute},
	"ends other sessions or statements | pg_terminate_backend pg_cancel_backend":  {action.Execute},
	"waits, and so can answer by its time | pg_sleep pg_sleep_for pg_sleep_until": {action.Execute},
	"takes or gives up locks | pg_advisory_lock pg_advisory_lock_shared pg_advisory_unlock pg_advisory_unlock_all " +
		"pg_advisory_unlock_shared pg_advisory_xact_lock pg_advisory_xact_lock_shared pg_try_advisory_lock pg_try_advisory_lock_shared " +
		"pg_try_advisory_xact_lock pg_try_advisory_xact_lock_shared": {action.Execute},
	"moves a sequence | nextval setval":                                         {action.DataWrite},
	"takes a transaction id, as a write does | pg_current_xact_id txid_current": {action.DataWrite},
	"tells other sessions | pg_notify":                                          {action.MessageSend},
	"streams changes of all tables | pg_create_logical_replication_slot pg_create_physical_replication_slot pg_copy_logical_replication_slot " +
		"pg_copy_physical_replication_slot pg_drop_replication_slot pg_replication_slot_advance pg_logical_slot_get_changes " +
		"pg_logical_slot_peek_changes pg_logical_slot_get_binary_changes pg_logical_slot_peek_binary_changes pg_logical_emit_message " +
		"pg_replication_origin_create pg_replication_origin_drop pg_replication_origin_advance pg_replication_origin_session_setup " +
		"pg_replication_origin_session_reset pg_replication_origin_xact_setup pg_replication_origin_xact_reset " +
		"pg_export_snapshot": {action.DataExport, action.ConfigChange, action.Execute},
	"reads pages of tables as they lie | get_raw_page heap_page_items heap_page_item_attrs pg_get_wal_block_info " +
		"pg_get_wal_records_info": {action.SecretAccess, action.Execute},
	"belongs to pg_upgrade | binary_upgrade_create_empty_extension binary_upgrade_set_missing_value binary_upgrade_set_record_init_privs " +
		"binary_upgrade_set_next_pg_authid_oid": {action.SchemaChange, action.Execute},
	"maintains an index | brin_summarize_new_values brin_summarize_range brin_desummarize_range gin_clean_pending_list": {action.Execute},
})

// effects turns "why | names" into a table by name.
func effects(in map[string][]action.Kind) map[string]effect {
	out := make(map[string]effect)
	for text, kinds := range in {
		why, names, _ := strings.Cut(text, " | ")
		for _, n := range strings.Fields(names) {
			out[n] = effect{why: why, kinds: kinds}
		}
	}
	return out
}

// dataFunctions are harmless, and read the catalogue.
var dataFunctions = words(`pg_get_functiondef pg_get_viewdef pg_get_ruledef pg_get_triggerdef pg_get_constraintdef pg_get_indexdef
	pg_get_expr pg_options_to_table pg_get_function_sqlbody pg_get_statisticsobjdef obj_description
	col_description shobj_description`)

// harmlessFunctions of pg_catalog compute from their arguments, or tell facts of
// the session or catalogue that are no secret.
var harmlessFunctions = words(
	// numbers
	`abs acos acosd acosh asin asind asinh atan atan2 atan2d atand atanh cbrt ceil ceiling cos cosd cosh cot cotd degrees div erf
	erfc exp factorial floor gcd lcm ln log log10 min_scale mod pi pow power radians random random_normal round scale sign sin
	sind sinh sqrt tan tand tanh trim_scale trunc width_bucket setseed to_number numeric int2 int4 int8 float4 float8 bool text
	varchar bpchar bit_count money bit varbit timestamp timestamptz date time timetz interval int8pl int4pl int4mi int4mul
	numeric_add numeric_sub numeric_mul numeric_div`,
	// text and bytes
	`ascii bit_length btrim char_length character_length chr concat concat_ws convert convert_from convert_to decode encode format
	get_bit get_byte initcap is_normalized left length like like_escape lower lpad ltrim md5 normalize notlike octet_length
	overlay parse_ident position quote_ident quote_literal quote_nullable regexp_count regexp_instr regexp_like regexp_match
	regexp_matches regexp_replace regexp_split_to_array regexp_split_to_table regexp_substr repeat replace reverse right rpad
	rtrim set_bit set_byte sha224 sha256 sha384 sha512 similar_escape similar_to_escape split_part starts_with string_to_array
	string_to_table strpos substr substring textlen to_ascii to_bin to_hex to_oct translate unistr upper hashtext
	hashtextextended crc32 crc32c casefold pg_encoding_max_length pg_client_encoding pg_char_to_encoding pg_encoding_to_char getdatabaseencoding`,
	// dates
	`age clock_timestamp date_add date_bin date_part date_subtract date_trunc extract isfinite justify_days justify_hours
	justify_interval make_date make_interval make_time make_timestamp make_timestamptz now overlaps statement_timestamp timeofday
	timezone to_char to_date to_timestamp transaction_timestamp pg_timezone_names pg_timezone_abbrevs`,
	// aggregates and windows
	`any_value array_agg avg bit_and bit_or bit_xor bool_and bool_or corr count covar_pop covar_samp cume_dist dense_rank every
	first_value json_agg json_agg_strict json_object_agg json_object_agg_strict json_object_agg_unique jsonb_agg jsonb_agg_strict
	jsonb_object_agg jsonb_object_agg_strict lag last_value lead max min mode nth_value ntile percent_rank percentile_cont
	percentile_disc range_agg range_intersect_agg rank regr_avgx regr_avgy regr_count regr_intercept regr_r2 regr_slope regr_sxx
	regr_sxy regr_syy row_number stddev stddev_pop stddev_samp string_agg sum var_pop var_samp variance xmlagg`,
	// arrays and ranges
	`array_append array_cat array_dims array_fill array_length array_lower array_ndims array_position array_positions array_prepend
	array_remove array_replace array_reverse array_sample array_shuffle array_sort array_to_json array_to_string array_upper
	arraycontained arraycontains arrayoverlap cardinality generate_series generate_subscripts trim_array unnest datemultirange
	daterange int4multirange int4range int8multirange int8range isempty lower_inc lower_inf multirange nummultirange numrange
	range_merge tsmultirange tsrange tstzmultirange tstzrange upper_inc upper_inf num_nonnulls num_nulls enum_first enum_last enum_range`,
	// JSON and XML
	`json_array_elements json_array_elements_text json_array_length json_build_array json_build_object json_each json_each_text
	json_extract_path json_extract_path_text json_object json_object_keys json_populate_record json_populate_recordset
	json_strip_nulls json_to_record json_to_recordset json_typeof jsonb_array_elements jsonb_array_elements_text
	jsonb_array_length jsonb_build_array jsonb_build_object jsonb_concat jsonb_contains jsonb_delete jsonb_delete_path jsonb_each
	jsonb_each_text jsonb_exists jsonb_exists_all jsonb_exists_any jsonb_extract_path jsonb_extract_path_text jsonb_insert
	jsonb_object jsonb_object_keys jsonb_path_exists jsonb_path_exists_tz jsonb_path_match jsonb_path_match_tz jsonb_path_query
	jsonb_path_query_array jsonb_path_query_array_tz jsonb_path_query_first jsonb_path_query_first_tz jsonb_path_query_tz
	jsonb_populate_record jsonb_populate_recordset jsonb_pretty jsonb_set jsonb_set_lax jsonb_strip_nulls jsonb_to_record
	jsonb_to_recordset jsonb_typeof row_to_json to_json to_jsonb xml_is_well_formed xml_is_well_formed_content
	xml_is_well_formed_document xmlcomment xmlexists xpath xpath_exists xmltext`,
	// text search
	`array_to_tsvector get_current_ts_config numnode phraseto_tsquery plainto_tsquery querytree setweight strip to_tsquery
	to_tsvector json_to_tsvector jsonb_to_tsvector ts_debug ts_delete ts_filter ts_headline ts_lexize ts_parse ts_rank ts_rank_cd
	ts_token_type tsquery_phrase tsvector_to_array websearch_to_tsquery`,
	// networks, geometry, identifiers
	`abbrev broadcast family host hostmask inet_merge inet_same_family macaddr8_set7bit masklen netmask network set_masklen area
	bound_box box center circle diagonal diameter height isclosed isopen ishorizontal isparallel isperp isvertical line lseg npoints
	path pclose point polygon popen radius slope width gen_random_uuid uuidv4 uuidv7 uuid_extract_timestamp uuid_extract_version`,
	// facts of the session
	`current_database current_query current_schema current_schemas current_setting current_user currval
	inet_client_addr inet_client_port inet_server_addr inet_server_port lastval pg_backend_pid pg_blocking_pids pg_conf_load_time
	pg_current_snapshot pg_current_xact_id_if_assigned txid_current_if_assigned
	txid_current_snapshot txid_status pg_is_in_recovery pg_is_other_temp_schema pg_jit_available pg_listening_channels
	pg_my_temp_schema pg_notification_queue_usage pg_postmaster_start_time pg_trigger_depth pg_typeof row_security_active
	session_user system_user version getpgusername pg_safe_snapshot_blocking_pids pg_snapshot_xip pg_snapshot_xmax pg_snapshot_xmin
	lo_close lo_lseek lo_lseek64 lo_tell lo_tell64
	pg_visible_in_snapshot pg_xact_status pg_last_xact_replay_timestamp pg_current_wal_lsn pg_current_wal_insert_lsn
	pg_current_wal_flush_lsn pg_last_wal_receive_lsn pg_last_wal_replay_lsn pg_is_wal_replay_paused pg_wal_lsn_diff
	pg_walfile_name`,
	// facts of the catalogue
	`acldefault aclexplode makeaclitem col_description format_type has_any_column_privilege has_column_privilege
	has_database_privilege has_foreign_data_wrapper_privilege has_function_privilege has_language_privilege
	has_parameter_privilege has_schema_privilege has_sequence_privilege has_server_privilege has_table_privilege
	has_tablespace_privilege has_type_privilege obj_description pg_collation_actual_version pg_collation_for
	pg_collation_is_visible pg_column_compression pg_column_is_updatable pg_column_size pg_conversion_is_visible pg_database_size
	pg_describe_object pg_filenode_relation pg_function_is_visible pg_get_function_arg_default pg_get_function_arguments
	pg_get_function_identity_arguments pg_get_function_result pg_get_keywords pg_get_object_address
	pg_get_partition_constraintdef pg_get_partkeydef pg_get_replica_identity_index pg_get_serial_sequence pg_get_userbyid
	pg_has_role pg_identify_object pg_identify_object_as_address pg_index_column_has_property pg_index_has_property
	pg_indexam_has_property pg_indexes_size pg_opclass_is_visible pg_operator_is_visible pg_opfamily_is_visible
	pg_partition_ancestors pg_partition_root pg_partition_tree pg_relation_is_updatable pg_relation_filenode pg_relation_filepath pg_relation_size
	pg_size_bytes pg_size_pretty pg_statistics_obj_is_visible pg_table_is_visible pg_table_size pg_tablespace_location
	pg_tablespace_size pg_total_relation_size pg_ts_config_is_visible pg_ts_dict_is_visible pg_ts_parser_is_visible
	pg_ts_template_is_visible pg_type_is_visible shobj_description to_regclass to_regcollation to_regnamespace to_regoper
	to_regoperator to_regproc to_regprocedure to_regrole to_regtype pg_sequence_last_value pg_get_publication_tables
	pg_available_extensions pg_show_all_settings pg_stat_get_backend_idset pg_stat_get_numscans pg_stat_get_tuples_returned
	pg_stat_get_tuples_fetched pg_stat_get_tuples_inserted pg_stat_get_tuples_updated pg_stat_get_tuples_deleted
	pg_stat_get_tuples_hot_updated pg_stat_get_live_tuples pg_stat_get_dead_tuples pg_stat_get_mod_since_analyze
	pg_stat_get_blocks_fetched pg_stat_get_blocks_hit pg_stat_get_last_vacuum_time pg_stat_get_last_autovacuum_time
	pg_stat_get_last_analyze_time pg_stat_get_last_autoanalyze_time pg_stat_get_vacuum_count pg_stat_get_autovacuum_count
	pg_stat_get_analyze_count pg_stat_get_autoanalyze_count pg_tablespace_databases pg_relation_is_publishable
	pg_get_statisticsobjdef_columns`,
	`pg_get_functiondef pg_get_viewdef pg_get_ruledef pg_get_triggerdef pg_get_constraintdef pg_get_indexdef pg_get_expr
	pg_options_to_table pg_get_function_sqlbody pg_get_statisticsobjdef pg_get_statisticsobjdef_expressions`)

// newer are the harmless functions that PostgreSQL has not always had. On a
// server without them such a name is a user's function: people write any_value
// for themselves.
var newer = versions(map[int]string{
	140000: `bit_count bit_xor date_bin trim_array string_to_table unistr range_agg range_intersect_agg multirange int4multirange
	int8multirange nummultirange datemultirange tsmultirange tstzmultirange pg_column_compression pg_get_function_sqlbody
	pg_get_statisticsobjdef_columns pg_get_statisticsobjdef_expressions`,
	150000: `regexp_count regexp_instr regexp_like regexp_substr has_parameter_privilege`,
	160000: `any_value array_sample array_shuffle date_add date_subtract erf erfc json_agg_strict json_object_agg_strict
	json_object_agg_unique jsonb_agg_strict jsonb_object_agg_strict random_normal system_user`,
	170000: `to_bin to_oct uuid_extract_timestamp uuid_extract_version xmltext`,
	180000: `array_reverse array_sort casefold crc32 crc32c uuidv4 uuidv7`,
})

// versions turns lists by version into a table by name.
func versions(in map[int]string) map[string]int {
	out := make(map[string]int)
	for version, names := range in {
		for n := range words(names) {
			out[n] = version
		}
	}
	return out
}

// harmlessSettings change how fast or how pretty, not what or whether.
var harmlessSettings = words(`application_name statement_timeout lock_timeout idle_in_transaction_session_timeout
	idle_session_timeout transaction_timeout datestyle intervalstyle timezone extra_float_digits client_min_messages geqo jit
	work_mem maintenance_work_mem cursor_tuple_fraction random_page_cost seq_page_cost max_parallel_workers_per_gather
	default_transaction_isolation transaction_isolation transaction_deferrable default_transaction_deferrable enable_seqscan
	enable_indexscan enable_bitmapscan enable_hashjoin enable_mergejoin enable_nestloop enable_sort enable_hashagg
	enable_indexonlyscan enable_material plan_cache_mode constraint_exclusion parallel_setup_cost parallel_tuple_cost
	effective_cache_size lc_messages statement_cache_size`)

// parseSettings decide how the server reads a text; the gate holds them at the
// value the parser assumes.
var parseSettings = map[string]string{
	"standard_conforming_strings": "on",
	"client_encoding":             "utf8",
	"backslash_quote":             "safe_encoding",
	"transform_null_equals":       "off",
	"escape_string_warning":       "on",
}
