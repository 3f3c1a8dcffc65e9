# Sourced by dist_predict.sh and dist_pseudo_label.sh: takes the number of processes out of the
# arguments, which become GPUS and ARGUMENTS. It follows CONFIG, or CHECKPOINT.

# is_number WORD: succeed if WORD is a number of processes and no file has that name.
is_number() {
    [[ "$1" =~ ^[1-9][0-9]*$ && ! -e $1 ]]
}

# take_processes LEAST WORD...: set GPUS and ARGUMENTS, or fail where there is no number or too few
# words: LEAST of them are needed besides the number.
take_processes() {
    local least=$1
    shift
    if [ $# -le "$least" ] || is_number "$1"; then
        return 1
    elif is_number "$2"; then
        GPUS=$2
        ARGUMENTS=("$1" "${@:3}")
    elif [ $# -gt 2 ] && is_number "$3"; then
        GPUS=$3
        ARGUMENTS=("$1" "$2" "${@:4}")
    else
        return 1
    fi
}
