from assessments.models.attempts import Attempt, Response
from assessments.models.questions import AnswerOption, Question, QuestionCategory, QuestionImport, QuestionVersion
from assessments.models.quizzes import Quiz, QuizDraw, QuizPage

__all__ = [
    "AnswerOption",
    "Attempt",
    "Question",
    "QuestionCategory",
    "QuestionImport",
    "QuestionVersion",
    "Quiz",
    "QuizDraw",
    "QuizPage",
    "Response",
]
