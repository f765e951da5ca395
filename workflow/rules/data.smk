localrules:
    data,
    tokens,


rule data:
    input:
        targets.corpus_files,


rule tokens:
    input:
        targets.tokens_files,


rule corpus:
    output:
        update(expand("data/corpora/{{id}}/{file}", file=datafiles.CORPUS_FILES)),
    log:
        "logs/corpus/{id}.log",
    benchmark:
        "logs/corpus/{id}.tsv"
    localrule: jobs.execution.data.partition is None
    resources:
        runtime=jobs.execution.data.minutes,
        mem_mb=jobs.execution.data.memory_mb,
        slurm_partition=jobs.execution.data.partition or "",
    params:
        options=targets.options,
    shell:
        "nervelab corpus {wildcards.id} {params.options} 2> {log}"


rule tokenise:
    input:
        ancient(targets.needed_to_tokenise),
    output:
        update(expand("data/tokens/{{id}}/{file}", file=datafiles.TOKENS_FILES)),
    log:
        "logs/tokens/{id}.log",
    benchmark:
        "logs/tokens/{id}.tsv"
    localrule: jobs.execution.data.partition is None
    resources:
        runtime=jobs.execution.data.minutes,
        mem_mb=jobs.execution.data.memory_mb,
        slurm_partition=jobs.execution.data.partition or "",
    params:
        options=targets.options,
    shell:
        "nervelab tokens {wildcards.id} {params.options} 2> {log}"
