// Prints each Jenkinsfile as a line of JSON, from the tree that Groovy itself makes of it, or {error}.
// Nothing of the files is run: CONVERSION is the phase that ends with the tree.
//
// A call is {line, name, positional, named, body}, `KEY = value` is {line, name, assigned}, anything
// else {line, code}. Values are {value} where they are literal, a call, {list} or {code}.
import groovy.json.JsonOutput
import org.codehaus.groovy.ast.builder.AstBuilder
import org.codehaus.groovy.ast.expr.BinaryExpression
import org.codehaus.groovy.ast.expr.ClosureExpression
import org.codehaus.groovy.ast.expr.ConstantExpression
import org.codehaus.groovy.ast.expr.ListExpression
import org.codehaus.groovy.ast.expr.MapExpression
import org.codehaus.groovy.ast.expr.MethodCallExpression
import org.codehaus.groovy.ast.expr.TupleExpression
import org.codehaus.groovy.ast.stmt.ExpressionStatement
import org.codehaus.groovy.control.CompilationFailedException
import org.codehaus.groovy.control.CompilePhase

lines = []

String code(node) {
    def found = lines[node.lineNumber - 1..node.lastLineNumber - 1]
    found[-1] = found[-1].take(node.lastColumnNumber - 1)
    found[0] = found[0].drop(node.columnNumber - 1)
    found.join('\n').trim()
}

def value(node) {
    switch (node) {
        case ConstantExpression: return [value: node.value]
        case MethodCallExpression: return call(node)
        case ListExpression: return [list: node.expressions.collect { value(it) }]
        default: return [code: code(node)]
    }
}

def call(node) {
    def given = node.arguments instanceof TupleExpression ? node.arguments.expressions : [node.arguments]
    def body = given && given[-1] instanceof ClosureExpression ? given[-1] : null
    def maps = given.findAll { it instanceof MapExpression }
    def plain = given.findAll { !(it instanceof MapExpression) && !it.is(body) }
    [line: node.lineNumber, name: node.methodAsString,
     positional: plain.collect { value(it) },
     named: maps.collectMany { it.mapEntryExpressions }.collectEntries {
         [it.keyExpression.value, value(it.valueExpression)]
     },
     body: body?.code?.statements?.collect { statement(it) }]
}

def statement(node) {
    def found = node instanceof ExpressionStatement ? node.expression : node
    if (found instanceof MethodCallExpression) {
        return call(found)
    }
    if (found instanceof BinaryExpression && found.operation.text == '=') {
        return [line: found.lineNumber, name: code(found.leftExpression), assigned: value(found.rightExpression)]
    }
    [line: node.lineNumber, code: code(found)]
}

args.each { path ->
    def source = new File(path).text
    lines = source.readLines()
    def found
    try {
        def tree = new AstBuilder().buildFromString(CompilePhase.CONVERSION, false, source)[0]
        found = tree.statements.collect { statement(it) }
    } catch (CompilationFailedException error) {
        found = [error: error.errorCollector.errors*.cause*.message.join('\n')]
    }
    println JsonOutput.toJson(found)
}
