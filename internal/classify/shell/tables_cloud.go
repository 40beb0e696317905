package shell

// cloudTools change infrastructure.
const cloudTools = `
terraform tofu terragrunt + | var var-file target state out backend-config lock-timeout parallelism replace plugin-dir
 -plugin-dir : ? =
 -out -generate-config-out -state-out : W
 -var-file : R
 fmt +check : read
 fmt : FMT
 providers lock|mirror : fetch write
 version|validate|graph|providers|show|output|metadata|--version|-version|-help|help : TFREAD
 plan : read
 state list|show|pull : TFSTATE
 state : infra
 workspace list|show : read
 workspace select : config undo
 workspace delete : destroy
 workspace : infra
 init|get|providers* : fetch exec
 apply +destroy : destroy
 apply|up|run-all|run : infra create
 destroy : destroy
 import|taint|untaint|refresh|force-unlock : infra
 console : read exec
 test : create infra
 login|logout : ident secret
 : infra ?
pulumi | s stack C cwd m message
 -C --cwd : =
 up|update|import|refresh : infra create
 destroy : destroy
 cancel : infra
 stack rm : destroy
 stack export|output : secret
 stack ls|history|graph : read
 stack : infra
 preview|pre|about|whoami|version|logs|help : read exec
 config +show-secrets : secret
 config get : secret
 config set*|rm*|refresh|cp : config secret
 config : read
 new|plugin|install|package : fetch exec write
 state : infra
 login|logout : ident
 env : secret
 : infra ?
cdk sam serverless sls cdktf sst copilot-cli amplify eb ecs-cli eksctl kops wrangler vercel netlify fly flyctl heroku railway render firebase doctl linode-cli hcloud civo scw exo ibmcloud oci aliyun tccli ovh gcloud-beta.none cf dokku surge now supabase planetscale pscale neonctl turso upctl vultr | n stack profile region a app t token
 destroy|delete|rm|remove|down|apps:destroy : destroy
 * destroy|delete|rm|remove|terminate : destroy
 * * destroy|delete|rm|remove|terminate : destroy
 list|ls|diff|synth|doctor|status|logs|version|whoami|info|help|validate|ps|releases|inspect|--version : read
 * list|ls|show|describe|get|info|status|logs|view : read
 * * list|ls|show|describe|get|info|status|logs|view : read
 ssh|exec|console|run|run:detached : exec session
 secrets|config:set|config:get|config|env|secret|tokens|auth|login|logout : secret config
 deploy|publish|launch|up|promote|rollback|push : deploy
 : infra deploy
aws | region profile output query endpoint-url color ca-bundle cli-read-timeout cli-connect-timeout filters filter secret-id name max-items page-size starting-token instance-ids bucket key prefix table-name expires-in
 --endpoint-url --ca-bundle : export ? =
 --no-sign-request : -
 --acl=public* --acl=authenticated* : export priv =
 --acl : =
 --with-decryption : secret
 --grants : priv =
 --version|help|version : none
 * help : none
 configure list|list-profiles : read
 configure get|export-credentials : secret
 configure|login|logout : config ident
 sso : ident session
 sts get-caller-identity|decode-authorization-message|get-access-key-info : read
 sts : ident secret
 secretsmanager list*|describe* : read
 secretsmanager get-resource-policy : read
 secretsmanager get*|batch-get* : secret
 secretsmanager delete*|remove* : secret delete
 secretsmanager : secret config
 ssm get-parameter*  +with-decryption : secret
 ssm get-parameter* : read secret
 ssm start-session|resume-session : session exec
 ssm send-command|start-automation* : exec
 ssm list*|describe*|get-* : read
 ssm : config
 kms decrypt|generate-data-key*|get-public-key|re-encrypt : secret
 kms list*|describe*|get* : read
 kms schedule-key-deletion|disable* : destroy secret
 kms : priv secret
 iam list*|get*|generate*|simulate* : read
 iam create-access-key|create-login-profile|create-service-specific-credential|update-login-profile|create-virtual-mfa-device : ident secret priv
 iam delete*|remove*|deactivate* : priv ident
 iam : priv ident
 organizations|identitystore|sso-admin|cognito-idp|ds list*|get*|describe*|admin-get* : read
 organizations|identitystore|sso-admin|cognito-idp|ds : ident priv
 ecr get-login-password|get-authorization-token|get-login : secret
 ecr-public get-login-password|get-authorization-token : secret
 codeartifact get-authorization-token|login : secret
 eks get-token : secret
 eks update-kubeconfig : config
 rds generate-db-auth-token : secret
 redshift get-cluster-credentials* : secret
 ec2 get-password-data|get-console-* : secret
 ec2 describe*|get*|search*|list* : read
 ec2 terminate-instances|delete-*|release-*|deregister-* : destroy
 ec2 authorize-*|revoke-*|modify-security-group*|*-security-group*|*-route*|*-vpc*|*-subnet*|*-network-*|*-internet-gateway|*-nat-gateway|*-address*|*-peering*|*-transit-* : network infra
 ec2 run-instances|create-*|allocate-*|import-* : create
 ec2 modify-snapshot-attribute|modify-image-attribute : priv export
 ec2 : infra
 ec2-instance-connect : session ident
 s3 ls : read
 s3 cp|sync|mv : AWSS3
 s3 rm : delete
 s3 rb : destroy delete
 s3 mb : create
 s3 presign : export
 s3 website : config export
 s3api get-object|select-object-content : read write
 s3api list*|get*|head* : read
 s3api put-object : export write
 s3api delete-bucket : destroy
 s3api delete* : delete
 s3api put-bucket-policy|put-*-acl|put-public-access-block|delete-public-access-block|put-bucket-acl : priv
 s3api put-bucket-logging : audit config
 s3api create* : create
 s3api : config infra
 dynamodb scan|query|get-item|batch-get-item|execute-statement|transact-get-items : read export
 dynamodb list*|describe* : read
 dynamodb delete-item : delete
 dynamodb put-item|update-item|batch-write-item|transact-write-items|batch-execute-statement : write delete
 dynamodb delete-table|delete-backup : destroy delete
 dynamodb export* : export
 dynamodb create* : create
 dynamodb : infra
 rds delete*|stop* : destroy
 rds create-db-snapshot|copy* : export
 rds modify-db-snapshot-attribute|start-export-task : export priv
 rds-data : exec ?
 redshift-data|athena|timestream-query|logs start-query|start-query-execution|execute-statement|batch-execute-statement : exec ?
 lambda invoke|invoke-async : exec
 lambda list*|get-function-configuration|get-account*|get-policy|get-alias : read
 lambda get-function|get-layer-version : read secret
 lambda delete* : destroy
 lambda add-permission|remove-permission|create-function-url-config : priv
 lambda create*|publish*|update*|put* : deploy
 ecs execute-command : exec session
 ecs run-task|start-task|update-service|create-service|deploy : deploy exec
 cloudformation deploy|create*|update*|execute-change-set : infra deploy
 cloudtrail stop-logging|delete-trail|update-trail|put-event-selectors|delete-* : audit
 cloudtrail lookup*|list*|describe*|get* : read
 cloudtrail : audit
 logs get-log-events|filter-log-events|tail|describe*|list*|get*|start-query : read
 logs delete* : audit delete
 logs put-retention-policy|delete-retention-policy : audit config
 logs create-export-task|put-subscription-filter : export
 guardduty|securityhub|config|inspector2|macie2|accessanalyzer delete*|disable*|stop*|update* : audit config
 sns publish* : msg
 ses|sesv2 send* : msg
 sqs send* : msg
 sqs receive-message : read
 sqs purge-queue|delete-queue : delete
 sqs delete-message* : delete
 kinesis|firehose put* : write
 events put-events : msg
 stepfunctions|states start* : exec
 codebuild|codepipeline|codedeploy start*|create-deployment : deploy exec
 route53|route53domains|elb|elbv2|apigateway|apigatewayv2|cloudfront|wafv2|globalaccelerator list*|get*|describe*|test* : read
 route53|route53domains|elb|elbv2|apigateway|apigatewayv2|cloudfront|wafv2|globalaccelerator delete* : network destroy
 route53|route53domains|elb|elbv2|apigateway|apigatewayv2|cloudfront|wafv2|globalaccelerator : network infra
 bedrock-runtime : llm
 backup delete* : delete destroy
 * list*|describe*|get*|head*|search*|lookup*|wait|batch-get*|estimate*|validate*|simulate*|preview* : read
 * delete*|terminate*|destroy*|remove*|deregister*|purge* : destroy
 * create*|run*|register*|import*|allocate*|request* : create
 * put-resource-policy|add-permission|set-*policy|put-*policy|attach*|detach*|grant* : priv
 * update*|modify*|put*|set*|start*|stop*|reboot*|restore*|enable*|disable*|add*|tag*|untag*|associate*|disassociate*|scale*|reset*|cancel*|copy* : infra
 : infra ?
gcloud | project account format filter zone region configuration q limit sort-by impersonate-service-account secret instance cluster namespace access-token-file flags-file
 --impersonate-service-account : ident
 --access-token-file --flags-file : R ?
 version|info|help|--version|topic|cheat-sheet : read
 auth list : read
 auth print-*|application-default : secret
 auth : ident secret
 config list|get-value|get : read
 config configurations list|describe : read
 config : config
 secrets versions access : secret
 secrets list|describe|versions* : read
 secrets delete : secret delete
 secrets : secret config
 kms decrypt|asymmetric-decrypt|raw-decrypt : secret
 compute ssh|scp|start-iap-tunnel|connect-to-serial-port : session exec
 compute reset-windows-password : secret ident
 compute firewall-rules|networks|routes|routers|addresses|forwarding-rules|vpn-tunnels|ssl-certificates list|describe : read
 compute firewall-rules|networks|routes|routers|addresses|forwarding-rules|vpn-tunnels delete : network destroy
 compute firewall-rules|networks|routes|routers|addresses|forwarding-rules|vpn-tunnels|security-policies : network infra
 compute os-login|project-info|instances add-metadata : priv exec
 compute instances|project-info|os-login set-service-account|add-iam-policy-binding|set-iam-policy : priv
 dns|domains *  list|describe : read
 dns|domains : network
 iam|projects|organizations|resource-manager list|describe|get-iam-policy|get-ancestors* : read
 iam * list|describe|get-iam-policy : read
 iam service-accounts keys list : read
 iam service-accounts keys : secret ident
 iam|iap|identity|organizations|access-context-manager : priv ident
 projects delete : destroy
 projects create : create
 projects : priv
 * add-iam-policy-binding|set-iam-policy|remove-iam-policy-binding : priv
 * * add-iam-policy-binding|set-iam-policy|remove-iam-policy-binding : priv
 * * * add-iam-policy-binding|set-iam-policy|remove-iam-policy-binding : priv
 logging read|list|tail : read
 logging * list|describe : read
 logging delete|logs|sinks|buckets : audit
 logging write : write
 storage ls|du|cat|buckets|objects|hash list|describe : read
 storage ls|du|cat|hash : read
 storage cp|rsync|mv : GCS
 storage rm : delete
 storage sign-url : export
 storage : infra priv
 sql connect : session exec
 sql export : export
 sql import : write schema
 sql users list : read
 sql users : ident secret
 run|functions|app|builds|deploy deploy|submit|releases|call|execute : deploy exec
 run services|jobs|revisions list|describe : read
 run * delete : destroy
 functions list|describe|logs : read
 container clusters get-credentials : secret config
 pubsub * publish : msg
 pubsub * pull : read
 firestore|datastore|bigtable|spanner|alloydb export : export
 firestore|datastore import : write
 ai|ml|ai-platform : llm infra
 alpha|beta * : infra ?
 * list|describe|get*|tail|read|search*|check* : read
 * * list|describe|get*|tail|read|search*|check* : read
 * * * list|describe|get*|tail|read|search*|check* : read
 * delete|destroy|remove* : destroy
 * * delete|destroy|remove* : destroy
 * * * delete|destroy|remove* : destroy
 * create|import|clone|restore : create
 * * create|import|clone|restore : create
 * * ssh|scp : session exec
 * update|set*|add*|enable|disable|start|stop|reset|resize|patch|deploy|scale|apply|rollback|move|failover|reboot|restart : infra
 * * update|set*|add*|enable|disable|start|stop|reset|resize|patch|deploy|scale|apply|rollback|move|failover|reboot|restart : infra
 : infra ?
gsutil | h m o
 ls|du|stat|cat|version|hash : read
 cp|rsync|mv : GCS
 rm : delete
 rb : destroy
 mb : create
 acl|iam|defacl get : read
 acl|iam|defacl : priv
 signurl : export
 : config
bq | format project_id
 ls|show|head|version|help : read
 query : BQ
 extract : export
 rm : delete
 : write schema
az | o output g resource-group n name query subscription l location
 version|--version|help|find|--help : read
 account show|list|list-locations : read
 account get-access-token : secret
 login|logout : ident session
 account|configure|config|cloud : config
 keyvault secret|key|certificate show|download|backup|list-deleted : secret
 keyvault secret|key|certificate|storage list|list-versions : read
 keyvault secret|key|certificate|storage : secret config
 keyvault delete|purge : destroy secret
 * keys|credential|key list|show|renew|reset|regenerate : secret
 * * keys|credential|key|connection-string|list-keys|show-connection-string|list-credentials|show-access-key list|show|renew|reset|regenerate : secret
 * list-keys|show-connection-string|list-connection-strings|get-access-token|get-credentials|list-credentials|list-publishing-profiles|generate-sas : secret
 * * list-keys|show-connection-string|list-connection-strings|get-access-token|list-credentials|generate-sas|list-publishing-profiles : secret
 role assignment|definition list|list-changelogs : read
 role : priv
 ad|identity * list|show|get* : read
 ad|identity list|show : read
 ad|identity : ident priv
 policy|lock|security list|show : read
 policy|lock|security : priv config
 vm|vmss run-command : exec
 vm|vmss list*|show|get* : read
 vm|vmss delete|deallocate : destroy
 vm|vmss create : create
 vm user : ident priv
 vm|vmss extension set : exec
 vm|vmss extension list|show : read
 container exec : exec session
 aks command : exec
 ssh|serialconsole|bastion : session exec
 network * list|show : read
 network * * list|show : read
 network * delete : network destroy
 network : network infra
 monitor diagnostic-settings|activity-log|log-analytics delete : audit destroy
 monitor * list|show : read
 monitor * delete : audit
 storage blob|file|fs|directory list|show|exists : read
 storage blob|file download*|sync|copy|url|generate-sas : export
 storage blob|file upload* : export write
 storage blob|file delete* : delete
 storage account|container|share|queue|table list|show : read
 storage account|container|share|queue|table delete : destroy
 storage container|share set-permission|policy : priv
 storage account keys : secret
 storage : infra
 sql|postgres|mysql|cosmosdb|redis * export : export
 sql|postgres|mysql|cosmosdb|redis export : export
 webapp|functionapp ssh|create-remote-connection : session exec
 webapp|functionapp config appsettings list : secret
 webapp|functionapp deploy*|up|config|deployment : deploy
 deployment|stack * delete : destroy
 deployment * what-if|validate|list|show : read
 deployment * create : infra create
 group list|show|exists : read
 group delete : destroy
 rest : exec ?
 devops|pipelines|repos|boards list|show : fetch
 devops|pipelines|repos|boards * list|show : fetch
 devops|pipelines|repos|boards : code deploy
 * list*|show*|get* : read
 * * list*|show*|get* : read
 * * * list*|show*|get* : read
 * delete|purge : destroy
 * * delete|purge : destroy
 * * * delete|purge : destroy
 * create : create
 * * create : create
 * * * create : create
 * * : infra
 : infra ?
kubectl k oc kubecolor microk8s.kubectl | n namespace context cluster user kubeconfig s server l selector o output f filename c container field-selector as as-group token sort-by k kustomize replicas p patch timeout since tail template
 --kubeconfig --server -s --token : ? =
 --as --as-group : priv
 -o=*-file=* --output=*-file=* : secret
 --output-directory --cache-dir --profile-output : W
 --enable-helm --enable-exec --enable-alpha-plugins --helm-command : ?
 -f --filename -k : KUBEFILE
 get|describe @*secret*|*Secret*|all,* : KUBEGET
 get|describe : KUBEGET
 kustomize +o|output : read write
 kustomize @*://* : read fetch
 explain|logs|top|version|cluster-info|api-resources|api-versions|diff|events|options|help|completion|wait|kustomize|status|project : read
 auth can-i|whoami : read
 auth : priv
 config view +raw : secret
 config view|get-contexts|current-context|get-clusters|get-users : read
 config|login|logout : config ident
 create secret|token : secret config
 create token|serviceaccount|sa : ident secret
 create role*|clusterrole*|serviceaccount|sa : priv
 create +dry-run : read
 apply|create|replace|patch|delete|set|label|annotate|scale|run|expose +dry-run : read
 apply|create|run|expose|new-app|new-project : KUBEAPPLY
 replace +force : destroy infra
 replace|edit|patch|set|label|annotate|scale|autoscale|taint|cordon|uncordon|drain|rollout restart|undo|pause|resume : KUBECHANGE
 rollout status|history : read
 replace|edit|patch|set|label|annotate|scale|autoscale|taint|cordon|uncordon|drain|rollout : KUBECHANGE
 delete : KUBEDELETE
 exec|rsh : KUBEEXEC
 attach|debug : exec session
 cp : export write exec
 port-forward|proxy : network session
 certificate|adm|policy : priv
 plugin list : read
 : exec ?
kubectx kubens k9s stern kustomize helm-diff velero istioctl linkerd cilium |
 build|list|ls|get|version|logs|status|describe|analyze|proxy-status|check : read
 +current|c : read
 : infra config
helm helm3 | n namespace f values set version kube-context kubeconfig repo set-string post-renderer timeout output o
 --post-renderer --kubeconfig --kube-apiserver --kube-token : ? =
 -f --values : R
 --output-dir : W
 template|show|inspect @*://* : fetch
 list|ls|status|history|hist|version|env|help|lint|verify|completion : read
 get values|all|manifest : secret
 get : read
 template|show|inspect : read
 search repo : read
 search : fetch
 repo|dependency|dep list|ls : read
 repo|pull|fetch|dependency|dep|registry|plugin : fetch config
 upgrade|install|rollback +dry-run : read
 upgrade|install|rollback : deploy infra
 uninstall|delete|del|un : destroy
 push : deploy export
 create|package : write
 test : exec
 : infra ?
argocd flux |
 app|get|version|logs|stats|tree list|get|diff|history|manifests|logs|resources : read
 get|version|logs|stats|tree|check|diff : read
 app delete|delete-resource : destroy
 delete|uninstall : destroy
 login|account|proj : ident priv
 : deploy infra
`
