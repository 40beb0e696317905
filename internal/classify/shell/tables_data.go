package shell

// dataTools are containers, databases, networks and the like.
const dataTools = `
docker podman nerdctl | H host c context l log-level config f filter format n tail since until t tag file build-arg platform name target
 -H --host -c --context --config --connection --url : ? =
 run|create : DOCKERRUN
 container run|create : DOCKERRUN
 exec : DOCKEREXEC
 container exec : DOCKEREXEC
 compose|stack : COMPOSE
 ps|images|logs|inspect|version|info|stats|top|port|diff|history|search|events|wait|help : read
 image ls|list|inspect|history : read
 container ls|list|ps|inspect|logs|stats|top|diff|port : read
 volume|network|context|plugin|secret|config|node|service|swarm|manifest|buildx|builder|system|trust|machine|pod ls|list|inspect|ps|logs|df|info|version|show|events|du : read
 volume rm|remove|prune : delete
 volume : create
 network : network infra
 build|buildx|builder : exec fetch
 image build : exec fetch
 pull : fetch
 image pull : fetch
 push : deploy export
 image push : deploy export
 manifest push : deploy export
 login|logout : secret ident
 save|export : export write
 image save : export write
 cp : write export
 load|import|commit|tag : write infra
 rm|rmi|prune : delete
 container|image|pod rm|remove|prune|kill|stop : delete infra
 system|builder prune : delete
 start|stop|restart|kill|pause|unpause|update|rename|attach : infra exec
 container start|restart|pause|unpause|update|rename|attach : infra exec
 swarm|service|node|secret|config|plugin : infra priv
 : infra ?
docker-compose podman-compose | f file p project-name profile env-file project-directory
 : COMPOSE
buildah skopeo kaniko crane regctl oras cosign ko nixpacks pack |
 inspect|list-tags|images|ls|manifest|digest|catalog|verify|version : fetch
 copy|push|sync|append|tag|sign|attest|delete|publish : deploy export
 : exec fetch
dive trivy grype syft snyk semgrep ~ |
 : fetch
pg_dump pg_dumpall mysqldump mariadb-dump mongodump mongoexport redis-dump cockroach.dump sqldump bcp unload | f file h host d dbname U n t
 -f --file : W
 : export
pg_restore | d dbname h U
 +l|list : R
 : write schema R
pg_basebackup pg_receivewal barman wal-g pgbackrest mariabackup xtrabackup |
 : export
createdb createuser |
 : schema ident
dropdb dropuser |
 : delete schema
pg_ctl initdb postgres mysqld mongod redis-server pg_resetwal pgbench vacuumdb reindexdb clusterdb mysqladmin mysqlimport mongoimport mongorestore mysql_upgrade |
 status|ping|version|processlist|extended-status : read
 drop : delete schema
 : infra exec write
pg_isready ~ | h p U d t
 : read
etcdctl consul nomad zkCli.sh rabbitmqctl rabbitmqadmin kafka-topics kafka-topics.sh kafkacat kcat |
 get|list*|status|members|member|endpoint|version|describe|info : read
 del|delete|remove|purge_queue|destroy|stop : delete
 : write infra
nsupdate |
 : network
lftp ftp sftp tftp | c e f b P p u i o F
 -e -c -f -b : ? =
 : session fetch export H
telnet |
 : session fetch H
ncat nc netcat socat | 
 : NC
scp | P i F o S J c l
 -S -o -F -J : ? =
 -i : R
 : SCP
rclone | config
 ls*|lsd|size|check|listremotes|version|cat|tree|about : fetch
 config : secret
 delete|purge|deletefile|rmdir*|cleanup : delete
 sync|move* : RCLONE delete
 copy* : RCLONE
 : export ?
s3cmd s4cmd s5cmd mc minio-client | c
 ls|la|info|du|stat|find|tree|cat|head : read
 put|sync|cp|mirror|mv|pipe : export
 get : fetch write
 del|rm|rb|delete : delete
 : infra
restic borg borgmatic duplicity kopia rdiff-backup |
 snapshots|list|info|stats|check|diff|ls|version : read
 forget|prune|delete : delete
 : export write
aria2c axel yt-dlp youtube-dl lynx w3m links elinks | o d i O P f
 -i --input-file : R ?
 --exec --on-download-complete : ? =
 : fetch write H
httpie.none |
 : fetch
http https xh hurl grpcurl websocat wscat | a A o
 -o --output : W
 : HTTPIE
python3-config pkg-config ~ |
 : read
stripe paypal square adyen braintree plaid |
 --version|version|help : none
 listen|logs|samples|open|status|resources : fetch
 login|config : ident secret
 * list|retrieve|search : read fetch
 : pay
twilio sendgrid mailgun postmark slack discord telegram-cli signal-cli |
 --version|version|help : none
 * list|fetch : fetch
 : msg
sentry-cli datadog-ci newrelic dd-trace honeycomb launchdarkly ldcli codecov coveralls sonar-scanner |
 info|list|--version : fetch
 : export
snowsql clickhouse clickhouse-client cqlsh mongosh mongo influx neo4j cypher-shell isql sqlcmd sqlplus osql db2 presto trino beeline hive impala-shell duckdb usql pgcli mycli litecli iredis cockroach arangosh couchdb memcached-tool |
 --version|version|--help : none
 : exec ?
tar gtar bsdtar | f C T X b g I K N V H F
 : TAR
rsync |
 : RSYNC
`
