"""`snakemake --lint`, less the advice that does not hold here, each exception with its reason."""

import subprocess
import sys

EXCEPTIONS = {
    "Specify a conda environment or container for each rule.": (
        "every rule runs in the locked environment that Snakemake itself runs in (requirements.lock)"
    ),
}


def main() -> int:
    """Print what is left of the advice; exit status 1 if anything is."""
    command = [sys.executable, "-P", "-m", "snakemake", "--lint"]
    answer = subprocess.run(command, capture_output=True, encoding="utf-8", check=False)
    lines = (answer.stdout + answer.stderr).splitlines()
    titles = [line.strip().removeprefix("* ").rstrip(":") for line in lines if line.startswith("    * ")]
    if answer.returncode and not titles:
        sys.stderr.write("\n".join(lines) + "\n")
        return 1
    left = [title for title in titles if title not in EXCEPTIONS]
    stated = [
        f"excepted: {title} Reason: {EXCEPTIONS[title]}" for title in dict.fromkeys(titles) if title in EXCEPTIONS
    ]
    sys.stdout.write("\n".join([*left, *stated, f"snakemake --lint: {len(left)} left\n"]))
    return 1 if left else 0


if __name__ == "__main__":
    sys.exit(main())
